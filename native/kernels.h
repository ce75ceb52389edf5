// What the kernels compute, as plain values: no Python, no XLA, no vector types.
//
// Letters: B rows of a batch, T steps, F features, H units, G gates (1, 4, 3 side by side in a
// kernel's columns, in Keras's order: candidate; i f c o; z r candidate).
#pragma once

#include <cstdint>
#include <functional>

namespace backmix {

enum class Cell : int32_t { simple_rnn = 0, lstm = 1, gru = 2 };
enum class Act : int32_t { linear = 0, tanh = 1, sigmoid = 2, relu = 3, hard_sigmoid = 4 };

// One recurrent layer and the batch it sees.
struct Layer {
  Cell cell = Cell::lstm;
  Act act = Act::tanh;           // of the state
  Act gate_act = Act::sigmoid;   // of the gates
  bool reset_after = true;       // GRU: the reset gate acts after the recurrent product
  bool backwards = false;        // from the last step to the first
  int64_t batch = 0, steps = 0, features = 0, units = 0;
  int64_t x_masks = 0, h_masks = 0;  // dropout masks: 0 none, 1 for all gates, G one per gate
  int64_t tiles = 1;  // groups of rows of the batch that go through time together ...
  int64_t slots = 1;  // ... and groups of tiles with sums of their own; the same in both directions

  int64_t gates() const { return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1; }
  int64_t biases() const { return cell == Cell::gru && reset_after ? 2 : 1; }
};

// x (B, T, F); seen (B, T) or null: 0 where a row is padding; h0, c0 (B, H) or null for zeros;
// kernel (F, G H); recurrent (H, G H); bias (biases, G H) or null;
// x_mask (x_masks, B, F), h_mask (h_masks, B, H).
struct Inputs {
  const float *x = nullptr, *h0 = nullptr, *c0 = nullptr;
  const float *kernel = nullptr, *recurrent = nullptr, *bias = nullptr;
  const float *x_mask = nullptr, *h_mask = nullptr;
  const uint8_t *seen = nullptr;
  const float *packed = nullptr;  // the weights as `pack` left them; kernel, recurrent, bias are not read then
  // Input products of a table's rows, as `project` left them, and the first row of every window (B):
  // windows that share rows share their products. x is not read then; without starts, row 0.
  const float *projected = nullptr;
  const int64_t *starts = nullptr;
};

// h (B, T, H), in the order of the steps, or null; h_last, c_last (B, H);
// kept: `kept_size` numbers for the way back, or null.
struct Outputs {
  float *h = nullptr, *h_last = nullptr, *c_last = nullptr, *kept = nullptr;
};

// dh (B, T, H) in the order of the steps, or null; dh_last, dc_last (B, H) or null.
struct Pulls {
  const float *h = nullptr, *kept = nullptr;  // what forward left
  const float *dh = nullptr, *dh_last = nullptr, *dc_last = nullptr;
};

// Null is not computed: dx (B, T, F), dh0, dc0 (B, H). Shapes of the rest as in Inputs; dbias may
// be null where there is no bias.
struct Gradients {
  float *dx = nullptr, *dh0 = nullptr, *dc0 = nullptr;
  float *dkernel = nullptr, *drecurrent = nullptr, *dbias = nullptr;
};

// Threads of somebody else: `start` hands a piece of work over and returns at once.
struct Pool {
  int threads = 1;
  std::function<void(std::function<void()>)> start;
};

using Forward = void (*)(const Layer &, const Inputs &, const Outputs &, const Pool &);
using Backward = void (*)(const Layer &, const Inputs &, const Pulls &, const Gradients &, const Pool &);
using Sizes = int64_t (*)(const Layer &);
using Pack = void (*)(const Layer &, const Inputs &, float *packed);
using Project = void (*)(const Layer &, const float *x, int64_t rows, const float *packed, float *out, const Pool &);

// One instruction set's functions; `rows` is how many rows of a batch a tile may hold.
struct Set {
  const char *name;
  int64_t rows;
  int64_t width;  // floats in a vector
  Forward forward;
  Backward backward;
  Sizes packed_size;     // numbers that `pack` writes
  Pack pack;             // weights in the order in which the products read them
  Sizes projected_size;  // numbers per row that `project` writes
  Project project;       // [x | 1] times the weights, for many rows at once
};

// The set this machine runs (the best one, or the one that BACKMIX_ISA names).
const Set &instructions();
// All sets that were built and that this machine can run, for tests.
int instruction_sets(const Set **found, int most);

// How many groups of rows a batch is cut into, for so many threads.
int64_t tiles(int64_t batch, int threads);
// Numbers that forward keeps for backward.
int64_t kept_size(const Layer &);
// Threads that may be used at most: BACKMIX_THREADS, else the processors this process may use.
int threads();
void limit_threads(int most);  // 0: no limit but the machine's
// Threads of our own for callers without a pool: made per call, none left behind.
Pool own_pool(int threads);

}  // namespace backmix
