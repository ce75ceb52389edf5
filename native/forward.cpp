// The way forward: every tile of rows goes through all steps alone, so that threads never meet
// inside the loop over time.
#include "layout.h"
#include "parallel.h"

namespace backmix {
namespace BACKMIX_ISA {
namespace {

// Where the parts of a layer's packed weights lie.
struct Weights {
  const Layout &l;
  const float *packed;
  const float *piece(size_t p) const { return packed + l.packed_at(p); }
  const float *candidate() const { return piece(l.forward.size()); }  // U_c (H, P), if r acts before the product
};

// Numbers of a tile while it is on its way.
struct Tile {
  int64_t rows;
  float *left;       // (copies, rows, stride): [x | 1 | h]
  float *h, *c;      // (rows, P)
  float *reset;      // (rows, P): r * h
  float *gates;      // (rows, l.row or blocks * P)
  int64_t gate_stride;
};

// Hands the new state of row r on: into the left sides, and to whoever wants it.
BACKMIX_INLINE void pass_on(const Layout &l, const Inputs &in, Tile &tile, int64_t r, int64_t b, int64_t j, Vec h) {
  store(tile.h + r * l.P + j, h);
  for (int64_t copy = 0; copy < l.copies; ++copy) {
    const float *mask = h_mask(l, in, copy, b);
    float *to = tile.left + (copy * tile.rows + r) * l.stride + l.F + 1 + j;
    store(to, mask ? h * load_part(mask + j, l.H - j) : h);
  }
}

template <bool USUAL>
void cell_step(const Layout &l, const Inputs &in, Tile &tile, int64_t b0, int64_t time, const Weights &weights) {
  const Activations<USUAL> f{l.layer.act, l.layer.gate_act};
  const int64_t P = l.P, n = tile.gate_stride;
  if (l.resets_before()) {
    // the candidate's product needs r, so the reset gates come first
    const float *mask_rows = nullptr;
    for (int64_t r = 0; r < tile.rows; ++r) {
      float *g = tile.gates + r * n;
      mask_rows = h_mask(l, in, 2, b0 + r);
      for (int64_t j = 0; j < P; j += V) {
        const Vec reset = f.gates(load(g + P + j));
        store(g + P + j, reset);
        const Vec h = load(tile.h + r * P + j);
        store(tile.reset + r * P + j, reset * (mask_rows ? h * load_part(mask_rows + j, l.H - j) : h));
      }
    }
    product<true>(tile.rows, l.H, tile.reset, P, weights.candidate(), P / V, tile.gates + 2 * P, n, l.H);
  }
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t b = b0 + r;
    const bool seen = !in.seen || in.seen[b * l.T + time];
    float *g = tile.gates + r * n;
    for (int64_t j = 0; j < P; j += V) {
      const Vec before = load(tile.h + r * P + j);
      Vec h;
      if (l.layer.cell == Cell::lstm) {
        const Vec i = f.gates(load(g + j)), keep = f.gates(load(g + P + j));
        const Vec candidate = f.state(load(g + 2 * P + j)), o = f.gates(load(g + 3 * P + j));
        const Vec c_before = load(tile.c + r * P + j);
        Vec c = keep * c_before + i * candidate;
        h = o * f.state(c);
        if (!seen) c = c_before;
        store(tile.c + r * P + j, c);
        if (l.row == n) {
          store(g + j, i);
          store(g + P + j, keep);
          store(g + 2 * P + j, candidate);
          store(g + 3 * P + j, o);
          store(g + 4 * P + j, c);
        }
      } else if (l.layer.cell == Cell::gru) {
        const Vec z = f.gates(load(g + j));
        Vec sum = load(g + (l.blocks - 1) * P + j);
        if (l.layer.reset_after) {
          const Vec reset = f.gates(load(g + P + j));
          sum += reset * load(g + 2 * P + j);
          store(g + P + j, reset);
        }
        const Vec candidate = f.state(sum);
        h = z * (before - candidate) + candidate;
        store(g + j, z);
        store(g + (l.blocks - 1) * P + j, candidate);
      } else {
        h = f.state(load(g + j));
      }
      pass_on(l, in, tile, r, b, j, seen ? h : before);
    }
  }
}

// The gates before activation from input products that are there already: only h is multiplied.
void start_projected(const Layout &l, const Inputs &in, Tile &tile, int64_t b0, int64_t time, const Weights &weights) {
  const int64_t width = l.blocks * l.P;
  for (int64_t r = 0; r < tile.rows; ++r)
    std::memcpy(tile.gates + r * tile.gate_stride,
                in.projected + ((in.starts ? in.starts[b0 + r] : 0) + time) * width, static_cast<size_t>(width) * 4);
  for (size_t p = 0; p < l.forward.size(); ++p) {
    const Piece &piece = l.forward[p];
    const int64_t done = l.F + 1 - piece.from;
    if (piece.count > done)
      product<true>(tile.rows, piece.count - done, tile.left + l.F + 1, l.stride, weights.piece(p), piece.columns / V,
                    tile.gates + piece.column, tile.gate_stride, piece.count, done);
  }
}

template <bool USUAL>
void run_tile(const Layout &l, const Inputs &in, const Outputs &out, const Weights &weights, int64_t index,
              float *scratch, const size_t (&at)[5]) {
  const int64_t b0 = l.first(index);
  const bool keeps = out.kept && l.row > 0;
  Tile tile{l.rows(index), scratch + at[0], scratch + at[1], scratch + at[2], scratch + at[3], scratch + at[4],
            keeps ? l.row : l.blocks * l.P};
  for (int64_t r = 0; r < tile.rows; ++r) {
    const int64_t b = b0 + r;
    for (int64_t j = 0; j < l.P; j += V) {
      const int64_t left = l.H - j;
      store(tile.c + r * l.P + j, in.c0 ? load_part(in.c0 + b * l.H + j, left) : Vec{});
      pass_on(l, in, tile, r, b, j, in.h0 ? load_part(in.h0 + b * l.H + j, left) : Vec{});
    }
  }
  for (int64_t t = 0; t < l.T; ++t) {
    const int64_t time = l.layer.backwards ? l.T - 1 - t : t;
    if (keeps) tile.gates = out.kept + (b0 * l.T + t * tile.rows) * l.row;
    if (in.projected) {
      start_projected(l, in, tile, b0, time, weights);
    } else {
      for (int64_t copy = 0; copy < l.copies; ++copy)
        for (int64_t r = 0; r < tile.rows; ++r)
          fill_x(l, in.x + ((b0 + r) * l.T + time) * l.F, x_mask(l, in, copy, b0 + r),
                 tile.left + (copy * tile.rows + r) * l.stride);
      for (size_t p = 0; p < l.forward.size(); ++p) {
        const Piece &piece = l.forward[p];
        product<false>(tile.rows, piece.count, tile.left + piece.copy * tile.rows * l.stride + piece.from, l.stride,
                       weights.piece(p), piece.columns / V, tile.gates + piece.column, tile.gate_stride, piece.count);
      }
    }
    cell_step<USUAL>(l, in, tile, b0, time, weights);
    if (out.h)
      for (int64_t r = 0; r < tile.rows; ++r)
        std::memcpy(out.h + ((b0 + r) * l.T + t) * l.H, tile.h + r * l.P, static_cast<size_t>(l.H) * 4);
  }
  for (int64_t r = 0; r < tile.rows; ++r) {
    const size_t bytes = static_cast<size_t>(l.H) * 4;
    if (out.h_last) std::memcpy(out.h_last + (b0 + r) * l.H, tile.h + r * l.P, bytes);
    if (out.c_last) std::memcpy(out.c_last + (b0 + r) * l.H, tile.c + r * l.P, bytes);
  }
}

}  // namespace

int64_t packed_size(const Layer &layer) { return static_cast<int64_t>(Layout(layer).packed_size()); }

int64_t projected_size(const Layer &layer) {
  const Layout l(layer);
  return l.blocks * l.P;
}

void pack(const Layer &layer, const Inputs &in, float *packed) {
  const Layout l(layer);
  bias_row(l, in.bias, packed);
  for (size_t p = 0; p < l.forward.size(); ++p) pack_piece(l, in, packed, l.forward[p], packed + l.packed_at(p));
  if (l.resets_before())
    pack(l.H, l.P / V, packed + l.packed_at(l.forward.size()), [&](int64_t row, int64_t vector) {
      return std::make_pair(in.recurrent + row * 3 * l.H + 2 * l.H + vector * V, l.H - vector * V);
    });
}

void project(const Layer &layer, const float *x, int64_t rows, const float *packed, float *out, const Pool &pool) {
  const Layout l(layer);
  const Weights weights{l, packed};
  const int64_t width = l.blocks * l.P, together = 64 * ROWS;
  share(pool, (rows + together - 1) / together, [&](int64_t index) {
    static thread_local Scratch memory;
    const FlushTiny tiny;
    float *left = memory.get(static_cast<size_t>(ROWS * l.stride));
    const int64_t end = std::min(rows, (index + 1) * together);
    for (int64_t first = index * together; first < end; first += ROWS) {
      const int64_t some = std::min(ROWS, end - first);
      for (int64_t r = 0; r < some; ++r) fill_x(l, x + (first + r) * l.F, nullptr, left + r * l.stride);
      for (size_t p = 0; p < l.forward.size(); ++p) {
        const Piece &piece = l.forward[p];
        product<false>(some, l.F + 1 - piece.from, left + piece.from, l.stride, weights.piece(p), piece.columns / V,
                       out + first * width + piece.column, width, piece.count);
      }
    }
  });
}

void forward(const Layer &layer, const Inputs &in, const Outputs &out, const Pool &pool) {
  static thread_local Scratch packed_memory;
  const Layout l(layer);
  const float *packed = in.packed;
  if (!packed) {
    float *memory = packed_memory.get(l.packed_size());
    pack(layer, in, memory);
    packed = memory;
  }
  const Weights weights{l, packed};
  const bool usual = layer.act == Act::tanh && layer.gate_act == Act::sigmoid;
  Cutter plan;
  const int64_t most = std::min(ROWS, l.B);
  const size_t sizes[5] = {static_cast<size_t>(l.copies * most * l.stride), static_cast<size_t>(most * l.P),
                           static_cast<size_t>(most * l.P), static_cast<size_t>(most * l.P),
                           static_cast<size_t>(most * l.blocks * l.P)};
  size_t at[5];
  for (int i = 0; i < 5; ++i) at[i] = plan.take(sizes[i]);
  share(pool, layer.tiles, [&](int64_t index) {
    static thread_local Scratch tile_memory;
    const FlushTiny tiny;
    float *scratch = tile_memory.get(plan.used);
    if (usual) run_tile<true>(l, in, out, weights, index, scratch, at);
    else run_tile<false>(l, in, out, weights, index, scratch, at);
  });
}

}  // namespace BACKMIX_ISA
}  // namespace backmix
