#include "network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace backmix {
namespace {

constexpr int64_t BLOCK_FLOATS = int64_t{1} << 22;  // what a layer may hand to the next one at a time: 16 MB

// Memory of uninitialised floats, whole cache lines.
using Floats = std::unique_ptr<float[]>;
Floats room(int64_t count) { return Floats(new float[static_cast<size_t>(count > 0 ? count : 1)]); }

Pool pool() {
  const int most = threads();
  return most > 1 ? own_pool(most) : Pool{};
}

float activate(Act act, float x) {
  switch (act) {
    case Act::tanh: return std::tanh(x);
    case Act::sigmoid: return 0.5f * std::tanh(0.5f * x) + 0.5f;
    case Act::relu: return x < 0.0f ? 0.0f : x;
    case Act::hard_sigmoid: return x < -3.0f ? 0.0f : x > 3.0f ? 1.0f : x / 6.0f + 0.5f;
    case Act::linear: break;
  }
  return x;
}

float dot(const float *a, const float *b, int64_t count) {
  float sums[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int64_t j = 0; j < 16; ++j) sums[j] += a[i + j] * b[i + j];
  float total = 0.0f;
  for (; i < count; ++i) total += a[i] * b[i];
  for (float sum : sums) total += sum;
  return total;
}

}  // namespace

Network::Network(std::vector<double> center, std::vector<double> scale, std::vector<double> low,
                 std::vector<double> high)
    : center_(std::move(center)), scale_(std::move(scale)), low_(std::move(low)), high_(std::move(high)) {
  const size_t count = center_.size();
  if (!count || scale_.size() != count || (!low_.empty() && low_.size() != count) || low_.size() != high_.size())
    throw std::invalid_argument("center, scale, low and high must be of one length");
}

void Network::add_layer(const Layer &form, const float *kernel, int64_t kernel_count, const float *recurrent,
                        int64_t recurrent_count, const float *bias, int64_t bias_count) {
  Recurrent layer{form, {}, form.cell == Cell::lstm ? 2 : 1};
  layer.form.features = layers_.empty() ? features() : layers_.back().form.units;
  const int64_t width = form.gates() * form.units;
  if (form.units < 1 || kernel_count != layer.form.features * width || recurrent_count != form.units * width ||
      bias_count != form.biases() * width)
    throw std::invalid_argument("the weights of a recurrent layer do not fit its units and inputs");
  Inputs in;
  in.kernel = kernel, in.recurrent = recurrent, in.bias = bias;
  layer.packed.resize(static_cast<size_t>(instructions().packed_size(layer.form)));
  instructions().pack(layer.form, in, layer.packed.data());
  state_size_ += layer.states * form.units;
  layers_.push_back(std::move(layer));
}

void Network::add_dense(int64_t inputs, int64_t outputs, const float *kernel, const float *bias, Act act,
                        bool softmax) {
  if (inputs < 1 || outputs < 1) throw std::invalid_argument("a dense layer needs inputs and outputs");
  Dense layer{inputs, outputs, std::vector<float>(static_cast<size_t>(inputs * outputs)),
              std::vector<float>(bias, bias + outputs), act, softmax};
  for (int64_t i = 0; i < inputs; ++i)
    for (int64_t o = 0; o < outputs; ++o) layer.rows[static_cast<size_t>(o * inputs + i)] = kernel[i * outputs + o];
  dense_.push_back(std::move(layer));
}

void Network::decode(std::vector<double> center, std::vector<double> scale, bool two_classes) {
  out_center_ = std::move(center), out_scale_ = std::move(scale), two_classes_ = two_classes;
}

bool Network::whole() const {
  if (layers_.empty() || dense_.empty()) return false;
  int64_t width = layers_.back().form.units + (statistics_.used ? 5 * features() : 0);
  for (const Dense &layer : dense_) {
    if (layer.inputs != width) return false;
    width = layer.outputs;
  }
  if (two_classes_ && width != 1) return false;
  return out_center_.size() == out_scale_.size() &&
         (out_center_.empty() || static_cast<int64_t>(out_center_.size()) == width);
}

int64_t Network::missing(const double *values, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i])) return i;
  return -1;
}

void Network::scale(const double *from, int64_t rows, float *to) const {
  const size_t width = center_.size();
  for (int64_t r = 0; r < rows; ++r, from += width, to += width)
    for (size_t i = 0; i < width; ++i) {
      double v = from[i];
      if (!low_.empty()) v = std::min(std::max(v, low_[i]), high_[i]);
      to[i] = static_cast<float>((v - center_[i]) / scale_[i]);
    }
}

void Network::head(const float *from, float *out) const {
  static thread_local std::vector<float> one, two;
  const float *x = from;
  for (size_t d = 0; d < dense_.size(); ++d) {
    const Dense &layer = dense_[d];
    std::vector<float> &hold = d % 2 ? two : one;
    float *y = out;
    if (d + 1 < dense_.size()) {
      if (hold.size() < static_cast<size_t>(layer.outputs)) hold.resize(static_cast<size_t>(layer.outputs));
      y = hold.data();
    }
    for (int64_t o = 0; o < layer.outputs; ++o)
      y[o] = activate(layer.act, dot(x, layer.rows.data() + o * layer.inputs, layer.inputs) +
                                     layer.bias[static_cast<size_t>(o)]);
    if (layer.softmax) {
      const float most = *std::max_element(y, y + layer.outputs);
      float total = 0.0f;
      for (int64_t o = 0; o < layer.outputs; ++o) total += y[o] = std::exp(y[o] - most);
      for (int64_t o = 0; o < layer.outputs; ++o) y[o] /= total;
    }
    x = y;
  }
}

void Network::describe(const float *window, int64_t rows, float *out) const {
  const int64_t width = features();
  const double count = static_cast<double>(std::max<int64_t>(1, rows)), centre = std::log(statistics_.centre);
  for (int64_t f = 0; f < width; ++f) {
    double sum = 0.0, square = 0.0, along = 0.0, places = 0.0, moved = 0.0;
    for (int64_t t = 0; t < rows; ++t) sum += window[t * width + f];
    const double mean = sum / count;
    for (int64_t t = 0; t < rows; ++t) {
      const double off = window[t * width + f] - mean, away = static_cast<double>(t + 1) - (count + 1.0) / 2.0;
      square += off * off;
      along += away * off;
      places += away * away;
      if (t) moved += std::fabs(static_cast<double>(window[t * width + f]) - window[(t - 1) * width + f]);
    }
    const double step = moved / std::max(count - 1.0, 1.0), variance = square / count;
    out[f] = static_cast<float>(mean);
    out[width + f] = static_cast<float>(
        statistics_.stretch * (0.5 * std::log(variance + statistics_.floor * statistics_.floor) - centre));
    out[2 * width + f] = static_cast<float>(along / std::max(places, 1e-6) * (count - 1.0));
    out[3 * width + f] = static_cast<float>(statistics_.stretch * (std::log(step + statistics_.floor) - centre));
    out[4 * width + f] = rows ? window[(rows - 1) * width + f] : 0.0f;
  }
}

int64_t Network::step(const double *row, const float *state, float *next, double *out) const {
  static thread_local std::vector<float> scaled, raw;
  const int64_t bad = missing(row, features());
  if (bad >= 0) return bad;
  if (scaled.size() < center_.size()) scaled.resize(center_.size());
  if (raw.size() < static_cast<size_t>(outputs())) raw.resize(static_cast<size_t>(outputs()));
  scale(row, 1, scaled.data());
  const float *x = scaled.data();
  for (const Recurrent &layer : layers_) {
    Layer form = layer.form;
    form.batch = form.steps = 1;
    const int64_t units = form.units;
    Inputs in;
    in.x = x, in.h0 = state, in.packed = layer.packed.data();
    Outputs made;
    made.h_last = next;
    if (layer.states == 2) in.c0 = state + units, made.c_last = next + units;
    instructions().forward(form, in, made, Pool{});
    x = next;
    state += layer.states * units;
    next += layer.states * units;
  }
  head(x, raw.data());
  const size_t count = static_cast<size_t>(outputs());
  for (size_t o = 0; o < count; ++o)
    out[o] = out_center_.empty() ? raw[o] : static_cast<double>(raw[o]) * out_scale_[o] + out_center_[o];
  if (two_classes_) out[1] = raw[0], out[0] = 1.0 - out[1];
  return -1;
}

void Network::carry(const double *rows, int64_t count, const float *state, float *next, float *out) const {
  const int64_t width = features();
  int64_t widest = width;
  for (const Recurrent &layer : layers_) widest = std::max(widest, instructions().projected_size(layer.form));
  const int64_t block = std::max<int64_t>(1, std::min(count, BLOCK_FLOATS / 4 / widest));
  std::memcpy(next, state, static_cast<size_t>(state_size_) * 4);
  const Floats projected = room(block * widest);
  Floats x = room(block * widest), h = room(block * widest);
  for (int64_t first = 0; first < count; first += block) {
    const int64_t some = std::min(block, count - first);
    scale(rows + first * width, some, x.get());
    float *at = next;
    for (const Recurrent &layer : layers_) {
      Layer form = layer.form;
      form.batch = 1, form.steps = some;
      instructions().project(form, x.get(), some, layer.packed.data(), projected.get(), pool());
      Inputs in;
      in.h0 = at, in.packed = layer.packed.data(), in.projected = projected.get();
      Outputs made;
      made.h = h.get(), made.h_last = at;
      if (layer.states == 2) in.c0 = at + form.units, made.c_last = at + form.units;
      instructions().forward(form, in, made, Pool{});
      std::swap(x, h);
      at += layer.states * form.units;
    }
    const int64_t units = layers_.back().form.units, made = outputs();
    for (int64_t r = 0; r < some; ++r) head(x.get() + r * units, out + (first + r) * made);
  }
}

void Network::run(size_t first, const float *x, int64_t batch, int64_t steps, const uint8_t *seen,
                  float *last) const {
  Floats before;
  for (size_t i = first; i < layers_.size(); ++i) {
    const Recurrent &layer = layers_[i];
    Layer form = layer.form;
    form.batch = batch, form.steps = steps, form.tiles = tiles(batch, threads());
    const bool end = i + 1 == layers_.size();
    Floats h = end ? nullptr : room(batch * steps * form.units);
    Inputs in;
    in.x = x, in.seen = seen, in.packed = layer.packed.data();
    Outputs made;
    made.h = h.get(), made.h_last = end ? last : nullptr;
    instructions().forward(form, in, made, pool());
    before = std::move(h);
    x = before.get();
  }
}

void Network::predict(const double *windows, int64_t batch, int64_t steps, const int64_t *lengths,
                      float *out) const {
  const int64_t width = features(), units = layers_.back().form.units;
  const int64_t told = units + (statistics_.used ? 5 * width : 0);
  int64_t widest = width;
  for (const Recurrent &layer : layers_) widest = std::max(widest, layer.form.units);
  const int64_t block = std::max<int64_t>(1, std::min(batch, BLOCK_FLOATS / (steps * widest)));
  const Floats x = room(block * steps * width), last = room(block * units), all = room(told);
  std::vector<uint8_t> seen(lengths ? static_cast<size_t>(block * steps) : 0);
  for (int64_t first = 0; first < batch; first += block) {
    const int64_t some = std::min(block, batch - first);
    scale(windows + first * steps * width, some * steps, x.get());
    if (lengths)
      for (int64_t b = 0; b < some; ++b)
        for (int64_t t = 0; t < steps; ++t) {
          const bool real = t < lengths[first + b];
          seen[static_cast<size_t>(b * steps + t)] = real;
          if (!real) std::fill_n(x.get() + (b * steps + t) * width, width, 0.0f);
        }
    run(0, x.get(), some, steps, lengths ? seen.data() : nullptr, last.get());
    for (int64_t b = 0; b < some; ++b) {
      std::memcpy(all.get(), last.get() + b * units, static_cast<size_t>(units) * 4);
      if (statistics_.used)
        describe(x.get() + b * steps * width, lengths ? lengths[first + b] : steps, all.get() + units);
      head(all.get(), out + (first + b) * outputs());
    }
  }
}

void Network::slide(const double *rows, int64_t count, const int64_t *starts, int64_t windows, int64_t steps,
                    float *out) const {
  const int64_t width = features(), units = layers_.back().form.units;
  const int64_t told = units + (statistics_.used ? 5 * width : 0);
  const Recurrent &entry = layers_.front();
  const Floats x = room(count * width);
  scale(rows, count, x.get());
  const Floats projected = room(count * instructions().projected_size(entry.form));
  instructions().project(entry.form, x.get(), count, entry.packed.data(), projected.get(), pool());
  const bool more = layers_.size() > 1;
  int64_t widest = 1;
  for (const Recurrent &layer : layers_) widest = std::max(widest, layer.form.units);
  const int64_t block = std::max<int64_t>(1, std::min(windows, more ? BLOCK_FLOATS / (steps * widest) : windows));
  const Floats h = room(more ? block * steps * entry.form.units : 0), last = room(block * units), all = room(told);
  for (int64_t first = 0; first < windows; first += block) {
    const int64_t some = std::min(block, windows - first);
    Layer form = entry.form;
    form.batch = some, form.steps = steps, form.tiles = tiles(some, threads());
    Inputs in;
    in.packed = entry.packed.data(), in.projected = projected.get(), in.starts = starts + first;
    Outputs made;
    made.h = more ? h.get() : nullptr, made.h_last = more ? nullptr : last.get();
    instructions().forward(form, in, made, pool());
    if (more) run(1, h.get(), some, steps, nullptr, last.get());
    for (int64_t b = 0; b < some; ++b) {
      std::memcpy(all.get(), last.get() + b * units, static_cast<size_t>(units) * 4);
      if (statistics_.used) describe(x.get() + starts[first + b] * width, steps, all.get() + units);
      head(all.get(), out + (first + b) * outputs());
    }
  }
}

}  // namespace backmix
