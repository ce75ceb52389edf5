// A trained network that predicts: scaling, recurrent layers, window statistics, dense layers, head.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace backmix {

struct Statistics {  // of a window, beside the last state; see models/body/summaries.py for the numbers
  bool used = false;
  double floor = 0.01, centre = 0.37, stretch = 3.0;
};

class Network {
 public:
  // center, scale (F): from plant units to the network's; low, high (F) or empty: where inputs are cut off.
  Network(std::vector<double> center, std::vector<double> scale, std::vector<double> low, std::vector<double> high);

  // Adds a recurrent layer; throws std::invalid_argument when the arrays do not fit.
  void add_layer(const Layer &form, const float *kernel, int64_t kernel_count, const float *recurrent,
                 int64_t recurrent_count, const float *bias, int64_t bias_count);
  // Adds a dense layer: kernel (inputs, outputs), bias (outputs); softmax over the outputs if asked for.
  void add_dense(int64_t inputs, int64_t outputs, const float *kernel, const float *bias, Act act, bool softmax);
  // From raw outputs to what `step` says: out * scale + center (O), or the chances of two classes from one.
  void decode(std::vector<double> center, std::vector<double> scale, bool two_classes);
  void use(const Statistics &statistics) { statistics_ = statistics; }

  int64_t features() const { return static_cast<int64_t>(center_.size()); }
  int64_t outputs() const { return dense_.empty() ? 0 : dense_.back().outputs; }
  int64_t said() const { return two_classes_ ? 2 : outputs(); }  // numbers that `step` writes
  int64_t state_size() const { return state_size_; }
  bool steps() const { return !statistics_.used; }  // whether it can go row by row
  bool whole() const;  // whether the layers fit one another

  // One row (F) of plant values from state (S) to the next: decoded outputs. Returns the first feature
  // that is not a finite number (nothing is written then), or -1.
  int64_t step(const double *row, const float *state, float *next, double *out) const;
  // Rows (N, F) one after the other from one state on: (N, O) and the state behind them.
  void carry(const double *rows, int64_t count, const float *state, float *next, float *out) const;
  // Windows (B, T, F), each from rest; lengths (B) or null: real rows of each. (B, O).
  void predict(const double *windows, int64_t batch, int64_t steps, const int64_t *lengths, float *out) const;
  // Windows of T rows that begin at starts (W) of one table (N, F): (W, O).
  void slide(const double *rows, int64_t count, const int64_t *starts, int64_t windows, int64_t steps,
             float *out) const;
  // The first place of a number that is not finite, or -1.
  static int64_t missing(const double *values, int64_t count);

 private:
  struct Recurrent {
    Layer form;
    std::vector<float> packed;
    int64_t states;  // 2 for an LSTM
  };
  struct Dense {
    int64_t inputs, outputs;
    std::vector<float> rows;  // (outputs, inputs)
    std::vector<float> bias;
    Act act;
    bool softmax;
  };
  void scale(const double *from, int64_t rows, float *to) const;
  void head(const float *from, float *out) const;
  void describe(const float *window, int64_t rows, float *out) const;
  // The layers from `first` on over x (B, T, F): last states into `last` (B, H of the last layer).
  void run(size_t first, const float *x, int64_t batch, int64_t steps, const uint8_t *seen, float *last) const;

  std::vector<double> center_, scale_, low_, high_, out_center_, out_scale_;
  bool two_classes_ = false;
  std::vector<Recurrent> layers_;
  std::vector<Dense> dense_;
  Statistics statistics_;
  int64_t state_size_ = 0;
};

}  // namespace backmix
