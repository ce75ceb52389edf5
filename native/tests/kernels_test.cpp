// The kernels alone, over all shapes that matter, for the sanitizers: memory, undefined behaviour, races.
//
// Every instruction set that this machine runs must agree with the first one, on one thread and on
// several, forth and back; and the network that predicts must agree with itself, step by step and at once.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "doors.h"
#include "network.h"
#include "parallel.h"

using namespace backmix;

namespace {

int failures = 0;

void expect(bool good, const std::string &what) {
  if (good) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  ++failures;
}

// Exactly as many numbers as are asked for, so that a sanitizer sees a read of one more.
struct Numbers {
  std::vector<float> values;
  explicit Numbers(int64_t count, std::mt19937 *random = nullptr, float size = 1.0f)
      : values(static_cast<size_t>(count)) {
    std::uniform_real_distribution<float> any(-size, size);
    if (random)
      for (float &value : values) value = any(*random);
    values.shrink_to_fit();
  }
  float *data() { return values.empty() ? nullptr : values.data(); }
};

double apart(const Numbers &a, const Numbers &b) {
  double most = 0.0;
  for (size_t i = 0; i < a.values.size(); ++i)
    most = std::max(most, std::fabs(static_cast<double>(a.values[i]) - b.values[i]) / (1.0 + std::fabs(b.values[i])));
  return most;
}

struct Result {
  std::vector<Numbers> arrays;
};

struct Shape {
  int64_t B, T, F, H;
};

// A layer with everything that can be absent switched on or off by the bits of `options`.
Result run(const Set &set, Layer layer, unsigned options, int threads) {
  std::mt19937 random(7);
  const int64_t B = layer.batch, T = layer.steps, F = layer.features, H = layer.units, G = layer.gates();
  const bool states = options & 1, bias = options & 2, masks = options & 4, each = options & 8, seen = options & 16;
  Numbers x(B * T * F, &random), h0(B * H, &random), c0(B * H, &random);
  Numbers kernel(F * G * H, &random, 0.3f), recurrent(H * G * H, &random, 0.3f), b(layer.biases() * G * H, &random);
  layer.x_masks = layer.h_masks = masks ? (each ? G : 1) : 0;
  Numbers x_mask(layer.x_masks * B * F, &random), h_mask(layer.h_masks * B * H, &random);
  std::vector<uint8_t> real(seen ? static_cast<size_t>(B * T) : 0);
  for (uint8_t &flag : real) flag = random() % 4 != 0;
  layer.tiles = std::min<int64_t>(B, (B + set.rows - 1) / set.rows + (threads > 1 ? 1 : 0));
  layer.slots = threads;
  Inputs in;
  in.x = x.data(), in.kernel = kernel.data(), in.recurrent = recurrent.data();
  if (states) in.h0 = h0.data(), in.c0 = layer.cell == Cell::lstm ? c0.data() : nullptr;
  if (bias) in.bias = b.data();
  if (masks) in.x_mask = x_mask.data(), in.h_mask = h_mask.data();
  if (seen) in.seen = real.data();
  const int64_t padded = (H + set.width - 1) / set.width * set.width;
  const int64_t each_row = layer.cell == Cell::lstm ? 5 : layer.cell == Cell::simple_rnn ? 0 : layer.reset_after ? 4 : 3;
  Numbers kept(std::max<int64_t>(1, each_row * padded * B * T));
  Result found;
  found.arrays.assign(9, Numbers(0));
  Numbers &h = found.arrays[0] = Numbers(B * T * H), &h_last = found.arrays[1] = Numbers(B * H);
  Numbers &c_last = found.arrays[2] = Numbers(layer.cell == Cell::lstm ? B * H : 0);
  const Pool pool = threads > 1 ? own_pool(threads) : Pool{};
  {
    const Pool forth = threads > 1 ? own_pool(threads) : Pool{};
    set.forward(layer, in, {h.data(), h_last.data(), c_last.data(), kept.data()}, forth);
  }
  Numbers dh(B * T * H, &random), dh_last(B * H, &random), dc_last(B * H, &random);
  Numbers &dx = found.arrays[3] = Numbers(B * T * F), &dh0 = found.arrays[4] = Numbers(B * H);
  Numbers &dc0 = found.arrays[5] = Numbers(layer.cell == Cell::lstm ? B * H : 0);
  Numbers &dkernel = found.arrays[6] = Numbers(F * G * H), &drecurrent = found.arrays[7] = Numbers(H * G * H);
  Numbers &dbias = found.arrays[8] = Numbers(bias ? layer.biases() * G * H : 0);
  Pulls pulls{h.data(), kept.data(), dh.data(), dh_last.data(), layer.cell == Cell::lstm ? dc_last.data() : nullptr};
  set.backward(layer, in, pulls,
               {dx.data(), dh0.data(), dc0.data(), dkernel.data(), drecurrent.data(), dbias.data()}, pool);
  return found;
}

std::string name(const Set &set, const Layer &l, unsigned options, int threads) {
  char text[160];
  std::snprintf(text, sizeof text, "%s cell %d after %d act %d/%d back %d B %d T %d F %d H %d options %u threads %d",
                set.name, static_cast<int>(l.cell), l.reset_after, static_cast<int>(l.act),
                static_cast<int>(l.gate_act), l.backwards, static_cast<int>(l.batch), static_cast<int>(l.steps),
                static_cast<int>(l.features), static_cast<int>(l.units), options, threads);
  return text;
}

void compare(const Set *const *sets, int count, const Layer &layer, unsigned options) {
  const Result truth = run(*sets[0], layer, options, 1);
  for (int s = 0; s < count; ++s)
    for (int threads : {1, 3}) {
      const Result found = run(*sets[s], layer, options, threads);
      const Result again = run(*sets[s], layer, options, threads);
      for (size_t a = 0; a < found.arrays.size(); ++a) {
        // relu and hard_sigmoid have kinks: a rounding may fall on either side of one
        const double limit = layer.act == Act::tanh ? 2e-4 : 2e-2;
        expect(apart(found.arrays[a], truth.arrays[a]) < limit,
               name(*sets[s], layer, options, threads) + ", array " + std::to_string(a));
        expect(found.arrays[a].values == again.arrays[a].values,
               name(*sets[s], layer, options, threads) + " does not repeat, array " + std::to_string(a));
      }
    }
}

void all_shapes(const Set *const *sets, int count) {
  const Shape shapes[] = {{1, 1, 1, 1}, {3, 5, 2, 4}, {9, 4, 17, 16}, {17, 3, 5, 33}, {2, 70, 1, 7}, {8, 2, 52, 64}};
  unsigned turn = 0;
  for (const Shape &shape : shapes)
    for (int cell = 0; cell < 3; ++cell)
      for (int after = 0; after < (cell == 2 ? 2 : 1); ++after)
        for (unsigned options : {0u, 3u, 7u, 15u, 31u, 19u}) {
          Layer layer;
          layer.cell = static_cast<Cell>(cell), layer.reset_after = after != 0;
          layer.batch = shape.B, layer.steps = shape.T, layer.features = shape.F, layer.units = shape.H;
          layer.backwards = turn % 2;
          if (turn % 5 == 4) layer.act = static_cast<Act>(turn / 5 % 5), layer.gate_act = static_cast<Act>(turn / 3 % 5);
          compare(sets, count, layer, options);
          ++turn;
        }
}

// A number that is none must come out as none, and only in its own row.
void strange_numbers() {
  const Set &set = instructions();
  Layer layer;
  layer.cell = Cell::gru, layer.batch = 3, layer.steps = 4, layer.features = 2, layer.units = 5;
  layer.tiles = tiles(layer.batch, 1);
  std::mt19937 random(1);
  Numbers x(24, &random), kernel(30, &random), recurrent(75, &random), h(3 * 4 * 5), last(15);
  x.values[8] = std::nanf("");
  Inputs in;
  in.x = x.data(), in.kernel = kernel.data(), in.recurrent = recurrent.data();
  set.forward(layer, in, {h.data(), last.data(), nullptr, nullptr}, Pool{});
  for (size_t i = 0; i < last.values.size(); ++i)
    expect(std::isnan(last.values[i]) == (i / 5 == 1), "a NaN stays in its row, place " + std::to_string(i));
}

void hostile_doors() {
  float numbers[4] = {};
  const auto refused = [&](Layer layer, Arrays arrays, const char *what) {
    Inputs in;
    expect(!open_door(layer, arrays, in).empty(), std::string("must be refused: ") + what);
  };
  Layer good;
  good.cell = Cell::simple_rnn, good.batch = good.steps = good.features = good.units = 1;
  Arrays arrays;
  arrays.x = arrays.kernel = arrays.recurrent = {numbers, 1};
  Inputs in;
  expect(open_door(good, arrays, in).empty(), "the smallest layer is a layer");
  Layer bad = good;
  bad.batch = 0;
  refused(bad, arrays, "no rows");
  bad = good, bad.units = int64_t{1} << 40;
  refused(bad, arrays, "too many units");
  bad = good, bad.tiles = 0;
  refused(bad, arrays, "no tiles");
  Layer read;
  const int64_t unknown[7] = {9, 1, 2, 1, 0, 1, 1}, wide[7] = {(int64_t{1} << 32) + 1, 1, 2, 1, 0, 1, 1};
  expect(!read_form(unknown, 7, read).empty() && !read_form(wide, 7, read).empty(), "an unknown cell is refused");
  expect(!read_form(unknown, 3, read).empty(), "a short form is refused");
  Arrays short_of = arrays;
  short_of.kernel.count = 0;
  refused(good, short_of, "no kernel");
}

// Everything is done once, whether help comes or not, and a fault of a helper reaches the caller.
void sharing() {
  for (const bool helped : {true, false}) {
    std::vector<int> done(50);
    const auto count = [&](int64_t i) { ++done[static_cast<size_t>(i)]; };
    if (helped) share(own_pool(3), 50, count);
    else share(Pool{4, [](std::function<void()>) {}}, 50, count);
    expect(done == std::vector<int>(50, 1), "every piece is done once");
  }
  bool thrown = false;
  try {
    share(own_pool(3), 10, [](int64_t i) {
      if (i == 5) throw std::bad_alloc();
    });
  } catch (const std::bad_alloc &) {
    thrown = true;
  }
  expect(thrown, "a fault of a helper reaches the caller");
}

void network() {
  std::mt19937 random(3);
  const int64_t F = 3, T = 6, N = 20;
  for (int cell = 0; cell < 3; ++cell) {
    Network made({0.5, 0.0, 1.0}, {2.0, 1.0, 0.5}, {-3, -3, -3}, {3, 3, 3});
    int64_t width = F;
    for (int64_t units : {5, 4}) {
      Layer form;
      form.cell = static_cast<Cell>(cell), form.units = units;
      const int64_t G = form.gates() * units;
      Numbers kernel(width * G, &random), recurrent(units * G, &random), bias(form.biases() * G, &random);
      made.add_layer(form, kernel.data(), width * G, recurrent.data(), units * G, bias.data(), form.biases() * G);
      width = units;
    }
    Numbers dense(4 * 2, &random), bias(2, &random);
    made.add_dense(4, 2, dense.data(), bias.data(), Act::linear, false);
    expect(made.whole(), "the layers fit");
    std::vector<double> rows(static_cast<size_t>(N * F));
    for (double &value : rows) value = std::uniform_real_distribution<double>(-4, 4)(random);
    std::vector<double> stepped(N * 2);
    std::vector<float> at_once(N * 2), state(static_cast<size_t>(made.state_size())), next(state);
    made.carry(rows.data(), N, state.data(), next.data(), at_once.data());
    for (int64_t i = 0; i < N; ++i) {
      made.step(rows.data() + i * F, state.data(), next.data(), stepped.data() + i * 2);
      state = next;
    }
    std::vector<double> windows;
    std::vector<int64_t> starts;
    for (int64_t s = 0; s + T <= N; ++s) {
      starts.push_back(s);
      windows.insert(windows.end(), rows.begin() + s * F, rows.begin() + (s + T) * F);
    }
    std::vector<float> slid(starts.size() * 2), predicted(starts.size() * 2);
    const int64_t count = static_cast<int64_t>(starts.size());
    made.slide(rows.data(), N, starts.data(), count, T, slid.data());
    made.predict(windows.data(), count, T, nullptr, predicted.data());
    for (size_t i = 0; i < at_once.size(); ++i)
      expect(std::fabs(at_once[i] - stepped[i]) < 1e-5, "steps equal one piece");
    for (size_t i = 0; i < slid.size(); ++i) expect(std::fabs(slid[i] - predicted[i]) < 1e-5, "slid equals cut");
    for (size_t i = 0; i < 2; ++i)
      expect(std::fabs(slid[i] - stepped[(T - 1) * 2 + i]) < 1e-5, "a window equals its steps");
  }
}

}  // namespace

int main() {
  const Set *sets[4];
  const int count = instruction_sets(sets, 4);
  all_shapes(sets, count);
  strange_numbers();
  hostile_doors();
  sharing();
  network();
  if (failures) return std::fprintf(stderr, "%d failures\n", failures), 1;
  std::printf("kernels: %d instruction sets agree\n", count);
  return 0;
}
