// How a layer's numbers lie in memory, and which products its steps are made of.
//
// A row of the left side of every product is [x (F) | 1 | h (H)], so that input product, bias and
// recurrent product are one. Gate columns are padded to whole vectors, H to P:
//   simple_rnn   candidate
//   lstm         i f candidate o             (kept beside them: c)
//   gru          z r inner candidate         inner = h U_c + b_c, what the reset gate multiplies
//   gru before   z r candidate               (reset_after false: the candidate's product reads r * h)
// A group of rows of the batch is a tile; it goes through all steps alone.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "product.h"

namespace backmix {
namespace BACKMIX_ISA {

// Memory of a thread that grows to what was needed once and is used again by the next call.
struct Scratch {
  float *data = nullptr;
  size_t size = 0;
  ~Scratch() { release(); }
  void release() {
    if (data) ::operator delete[](data, std::align_val_t(64));
    data = nullptr;
  }
  float *get(size_t wanted) {
    if (wanted > size) {
      release();
      size = 0;
      data = static_cast<float *>(::operator new[](wanted * sizeof(float), std::align_val_t(64)));
      size = wanted;
    }
    return data;
  }
};

// Cuts pieces off a block of memory, each beginning on a cache line.
struct Cutter {
  size_t used = 0;
  size_t take(size_t count) {
    const size_t at = used;
    used += (count + 15) / 16 * 16;
    return at;
  }
};

// One product: columns [column, column + columns) of the gates from places [from, from + count) of
// the rows of copy `copy` (there are several copies where dropout masks differ from gate to gate).
struct Piece {
  int64_t copy, from, count, column, columns;
};

// A few pieces without a trip to the heap: a layout is made for every call, also of a single step.
struct Pieces {
  Piece list[6];
  size_t count = 0;
  void push_back(const Piece &piece) { list[count++] = piece; }
  size_t size() const { return count; }
  const Piece &operator[](size_t i) const { return list[i]; }
  Piece &operator[](size_t i) { return list[i]; }
  const Piece *begin() const { return list; }
  const Piece *end() const { return list + count; }
};

struct Layout {
  const Layer &layer;
  int64_t F, H, G, T, B;
  int64_t P;        // H in whole vectors
  int64_t blocks;   // gate columns, in units of P
  int64_t row;      // numbers kept per row and step
  int64_t stride;   // of a row [x | 1 | h]: room for a whole last vector
  int64_t copies;   // of such rows
  Pieces forward;  // products of a step; also those of the weights' gradients
  Pieces to_h, to_x;  // products of the way back: here `columns` are summed over

  explicit Layout(const Layer &l)
      : layer(l), F(l.features), H(l.units), G(l.gates()), T(l.steps), B(l.batch) {
    P = whole(H);
    const bool gru = l.cell == Cell::gru;
    blocks = gru ? (l.reset_after ? 4 : 3) : G;
    row = (l.cell == Cell::lstm ? 5 : l.cell == Cell::simple_rnn ? 0 : blocks) * P;
    stride = whole(F + 1 + P);
    copies = std::max<int64_t>({1, l.x_masks, l.h_masks});
    const int64_t all = F + 1 + H;
    const bool each = copies > 1;
    const int64_t shared = gru ? 2 : blocks;  // gates that read all of [x | 1 | h]
    if (each) {
      for (int64_t g = 0; g < shared; ++g) forward.push_back({g, 0, all, g * P, P});
    } else {
      forward.push_back({0, 0, all, 0, shared * P});
    }
    to_x = to_h = forward;
    if (gru) {
      const int64_t last = each ? 2 : 0;
      if (l.reset_after) forward.push_back({last, F, 1 + H, 2 * P, P});
      forward.push_back({last, 0, F + 1, (blocks - 1) * P, P});
      to_x.push_back({last, 0, F + 1, (blocks - 1) * P, P});
      if (l.reset_after) {
        if (each) to_h.push_back({last, F, 1 + H, 2 * P, P});
        else to_h[0].columns = 3 * P;
      }
    }
  }

  // The gate in Keras's kernel that a block of columns belongs to.
  int64_t gate(int64_t block) const { return layer.cell == Cell::gru && block >= 2 ? 2 : block; }
  bool has_x(int64_t block) const { return !(layer.cell == Cell::gru && layer.reset_after && block == 2); }
  bool has_h(int64_t block) const { return !(layer.cell == Cell::gru && block == blocks - 1); }

  // Where each piece of the way forward begins in packed memory; the bias row, then the pieces, then U_c.
  size_t packed_at(size_t piece) const {
    size_t at = whole_lines(blocks * P);
    for (size_t p = 0; p < piece; ++p) at += whole_lines(forward[p].count * forward[p].columns);
    return at;
  }
  size_t packed_size() const { return packed_at(forward.size()) + (resets_before() ? whole_lines(H * P) : 0); }
  bool resets_before() const { return layer.cell == Cell::gru && !layer.reset_after; }
  static size_t whole_lines(int64_t count) { return static_cast<size_t>((count + 15) / 16 * 16); }

  // The rows of a tile and where its kept numbers begin.
  int64_t first(int64_t tile) const { return tile * B / layer.tiles; }
  int64_t rows(int64_t tile) const { return first(tile + 1) - first(tile); }
};

// The bias row (blocks * P): a GRU's two input and recurrent biases add up where the products do.
inline void bias_row(const Layout &l, const float *bias, float *out) {
  std::fill(out, out + l.blocks * l.P, 0.0f);
  if (!bias) return;
  const float *second = l.layer.biases() == 2 ? bias + l.G * l.H : nullptr;
  for (int64_t block = 0; block < l.blocks; ++block)
    for (int64_t j = 0; j < l.H; ++j) {
      const int64_t at = l.gate(block) * l.H + j;
      out[block * l.P + j] = (l.has_x(block) ? bias[at] : 0.0f) + (second && l.has_h(block) ? second[at] : 0.0f);
    }
}

// Packs one piece for the way forward: the matrix (count, columns) of [kernel; bias; recurrent].
inline void pack_piece(const Layout &l, const Inputs &in, const float *bias, const Piece &piece, float *out) {
  const int64_t width = l.G * l.H, each = l.P / V;
  pack(piece.count, piece.columns / V, out, [&](int64_t row, int64_t vector) {
    const int64_t place = piece.from + row, block = piece.column / l.P + vector / each, j = vector % each * V;
    const float *from = place == l.F ? bias + block * l.P + j
                        : (place < l.F ? in.kernel + place * width : in.recurrent + (place - l.F - 1) * width) +
                              l.gate(block) * l.H + j;
    return std::make_pair(from, place == l.F ? V : l.H - j);
  });
}

// Packs the transpose of `columns` gate columns of a matrix (count, G H): (columns, count).
inline void pack_back(const Layout &l, const float *matrix, int64_t count, const Piece &piece, float *out) {
  const int64_t width = l.G * l.H;
  pack_transposed(piece.columns, count, out, [&](int64_t column, const auto &set) {
    for (int64_t block = 0; block < piece.columns / l.P; ++block) {
      const float *from = matrix + column * width + l.gate(piece.column / l.P + block) * l.H;
      for (int64_t j = 0; j < l.P; ++j) set(block * l.P + j, j < l.H ? from[j] : 0.0f);
    }
  });
}

// Very small numbers count as zero while this lives: vanishing gradients would run at a tenth of the speed.
struct FlushTiny {
#if defined(__SSE2__)
  unsigned before = _mm_getcsr();
  FlushTiny() { _mm_setcsr(before | 0x8040); }
  ~FlushTiny() { _mm_setcsr(before); }
#elif defined(__aarch64__)
  uint64_t before;
  FlushTiny() {
    asm volatile("mrs %0, fpcr" : "=r"(before));
    asm volatile("msr fpcr, %0" ::"r"(before | (1ull << 24)));
  }
  ~FlushTiny() { asm volatile("msr fpcr, %0" ::"r"(before)); }
#endif
};

// Fills one row [x | 1 | h] with its dropout masks; h (P) ends in zeros.
inline void fill_x(const Layout &l, const float *x, const float *mask, float *to) {
  if (!mask) std::memcpy(to, x, static_cast<size_t>(l.F) * 4);
  else
    for (int64_t i = 0; i < l.F; ++i) to[i] = x[i] * mask[i];
  to[l.F] = 1.0f;
}

// The masks of row b of a batch for a copy; null where there are none.
inline const float *x_mask(const Layout &l, const Inputs &in, int64_t copy, int64_t b) {
  return l.layer.x_masks ? in.x_mask + ((l.layer.x_masks > 1 ? copy * l.B : 0) + b) * l.F : nullptr;
}
inline const float *h_mask(const Layout &l, const Inputs &in, int64_t copy, int64_t b) {
  return l.layer.h_masks ? in.h_mask + ((l.layer.h_masks > 1 ? copy * l.B : 0) + b) * l.H : nullptr;
}

BACKMIX_INLINE Vec load_part(const float *p, int64_t left) { return left >= V ? load(p) : load_some(p, left); }
BACKMIX_INLINE void store_part(float *p, Vec v, int64_t left) {
  if (left >= V) store(p, v);
  else store_some(p, v, left);
}

// Activations known while compiling (the usual tanh and sigmoid) or looked up.
template <bool USUAL>
struct Activations {
  Act act, gate;
  BACKMIX_INLINE Vec state(Vec x) const { return USUAL ? tanh(x) : any(act, x); }
  BACKMIX_INLINE Vec gates(Vec x) const { return USUAL ? sigmoid(x) : any(gate, x); }
  BACKMIX_INLINE Vec state_slope(Vec y) const { return USUAL ? slope<Act::tanh>(y) : any_slope(act, y); }
  BACKMIX_INLINE Vec gates_slope(Vec y) const { return USUAL ? slope<Act::sigmoid>(y) : any_slope(gate, y); }
  static Vec any(Act a, Vec x) {
    switch (a) {
      case Act::tanh: return activate<Act::tanh>(x);
      case Act::sigmoid: return activate<Act::sigmoid>(x);
      case Act::relu: return activate<Act::relu>(x);
      case Act::hard_sigmoid: return activate<Act::hard_sigmoid>(x);
      case Act::linear: break;
    }
    return x;
  }
  static Vec any_slope(Act a, Vec y) {
    switch (a) {
      case Act::tanh: return slope<Act::tanh>(y);
      case Act::sigmoid: return slope<Act::sigmoid>(y);
      case Act::relu: return slope<Act::relu>(y);
      case Act::hard_sigmoid: return slope<Act::hard_sigmoid>(y);
      case Act::linear: break;
    }
    return all(1.0f);
  }
};

}  // namespace BACKMIX_ISA
}  // namespace backmix
