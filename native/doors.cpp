#include "doors.h"

namespace backmix {
namespace {

constexpr int64_t MOST = int64_t{1} << 40;  // numbers in one array: far beyond any memory, far below overflow

std::string wrong(const char *name, int64_t got, int64_t wanted) {
  return std::string(name) + " has " + std::to_string(got) + " numbers, " + std::to_string(wanted) + " are needed";
}

// A product of sizes, or -1 when it is beyond all bounds.
int64_t times(std::initializer_list<int64_t> sizes) {
  int64_t all = 1;
  for (int64_t size : sizes) {
    if (size < 0 || (size > 0 && all > MOST / size)) return -1;
    all *= size;
  }
  return all;
}

const float *floats(Span span) { return span.count ? static_cast<const float *>(span.data) : nullptr; }

// Checks one array; `optional` may be empty.
bool fits(std::string &fault, const char *name, Span span, int64_t wanted, bool optional) {
  if (!fault.empty()) return false;
  if (optional && span.count == 0) return true;
  if (span.count != wanted || !span.data) fault = wrong(name, span.count, wanted);
  return fault.empty();
}

}  // namespace

std::string read_form(const int64_t *numbers, size_t count, Layer &layer) {
  if (count != 7) return "form must have 7 numbers, got " + std::to_string(count);
  if (numbers[0] < 0 || numbers[0] > 2)
    return "cell must be 0 (simple_rnn), 1 (lstm) or 2 (gru), got " + std::to_string(numbers[0]);
  for (int i = 1; i < 3; ++i)
    if (numbers[i] < 0 || numbers[i] > 4) return "an activation must be 0 ... 4, got " + std::to_string(numbers[i]);
  layer.cell = static_cast<Cell>(numbers[0]);
  layer.act = static_cast<Act>(numbers[1]);
  layer.gate_act = static_cast<Act>(numbers[2]);
  layer.reset_after = numbers[3] != 0;
  layer.backwards = numbers[4] != 0;
  layer.tiles = numbers[5];
  layer.slots = numbers[6];
  return "";
}

std::string open_door(Layer &l, const Arrays &a, Inputs &in) {
  if (l.batch < 1 || l.steps < 1 || l.features < 1 || l.units < 1)
    return "batch, steps, features and units must be at least 1, got " + std::to_string(l.batch) + ", " +
           std::to_string(l.steps) + ", " + std::to_string(l.features) + ", " + std::to_string(l.units);
  const int64_t G = l.gates(), states = times({l.batch, l.units});
  if (times({l.batch, l.steps, l.features}) < 0 || times({l.features + l.units + 1, 8, l.units + 16}) < 0 ||
      times({l.batch, l.steps, 8, l.units + 16}) < 0)
    return "these sizes are beyond all memory";
  if (l.tiles < 1 || l.tiles > l.batch || l.slots < 1 || (l.batch + l.tiles - 1) / l.tiles > instructions().rows)
    return "tiles must be between batch / " + std::to_string(instructions().rows) + " and batch, got " +
           std::to_string(l.tiles);
  std::string fault;
  fits(fault, "x", a.x, l.batch * l.steps * l.features, false);
  fits(fault, "h0", a.h0, states, true);
  fits(fault, "c0", a.c0, states, true);
  fits(fault, "kernel", a.kernel, l.features * G * l.units, false);
  fits(fault, "recurrent", a.recurrent, l.units * G * l.units, false);
  fits(fault, "bias", a.bias, l.biases() * G * l.units, true);
  fits(fault, "seen", a.seen, l.batch * l.steps, true);
  const int64_t x_one = l.batch * l.features;
  l.x_masks = a.x_mask.count == 0 ? 0 : a.x_mask.count == x_one ? 1 : G;
  l.h_masks = a.h_mask.count == 0 ? 0 : a.h_mask.count == states ? 1 : G;
  fits(fault, "x_mask", a.x_mask, l.x_masks * x_one, true);
  fits(fault, "h_mask", a.h_mask, l.h_masks * states, true);
  in = Inputs{};
  in.x = floats(a.x), in.h0 = floats(a.h0), in.c0 = floats(a.c0);
  in.kernel = floats(a.kernel), in.recurrent = floats(a.recurrent), in.bias = floats(a.bias);
  in.x_mask = floats(a.x_mask), in.h_mask = floats(a.h_mask);
  in.seen = a.seen.count ? static_cast<const uint8_t *>(a.seen.data) : nullptr;
  return fault;
}

std::string open_back_door(const Layer &l, Span h, Span kept, Span dh, Span dh_last, Span dc_last, Pulls &pulls) {
  std::string fault;
  fits(fault, "h", h, l.batch * l.steps * l.units, false);
  fits(fault, "kept", kept, kept_size(l), false);
  fits(fault, "dh", dh, l.batch * l.steps * l.units, true);
  fits(fault, "dh_last", dh_last, l.batch * l.units, true);
  fits(fault, "dc_last", dc_last, l.batch * l.units, true);
  pulls = Pulls{floats(h), floats(kept), floats(dh), floats(dh_last), floats(dc_last)};
  return fault;
}

}  // namespace backmix
