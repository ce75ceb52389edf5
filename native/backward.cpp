// The way back: backpropagation through time, tile by tile (Werbos, Proc. IEEE 78, 1990).
//
// A few steps at a time: their gate gradients stay in the cache until the weights' gradients have
// been added up from them as one long product. Every slot of tiles has its own sums, which are added
// in a fixed order at the end: the same call gives the same bits, whichever thread did what.
#include "layout.h"
#include "parallel.h"

namespace backmix {
namespace BACKMIX_ISA {
namespace {

constexpr int64_t BLOCK = 128;  // rows of a product for the weights: enough to make its sums worth loading

struct Weights {
  const float *to_h[6], *to_x[6];    // one per piece, transposed
  const float *candidate = nullptr;  // of a GRU whose reset gate acts before the product: (P, H)
};

// Where a thread's numbers lie in its scratch memory.
struct Plan {
  int64_t steps;        // of a block
  int64_t gate_stride;  // of a row of gate gradients
  Cutter cut;
  size_t left, gates, reset, dh, dc, back, dx;

  explicit Plan(const Layout &l) {
    const int64_t rows = l.rows(0) > l.rows(l.layer.tiles - 1) ? l.rows(0) : l.rows(l.layer.tiles - 1);
    const int64_t most = std::max<int64_t>(1, std::min(l.B, rows + 1));
    steps = std::min(l.T, std::max<int64_t>(1, BLOCK / most));
    gate_stride = l.blocks * l.P + 16;  // not a power of two: columns would fall on the same lines of the cache
    const size_t block = static_cast<size_t>(steps * most);
    left = cut.take(static_cast<size_t>(l.copies * l.stride) * block);
    gates = cut.take(static_cast<size_t>(gate_stride) * block);
    reset = cut.take(static_cast<size_t>(l.P) * block);
    dh = cut.take(static_cast<size_t>(most * l.P));
    dc = cut.take(static_cast<size_t>(most * l.P));
    back = cut.take(static_cast<size_t>(most * l.P));
    dx = cut.take(static_cast<size_t>(most * whole(l.F)));
  }
};

struct Tile {
  const Layout &l;
  const Inputs &in;
  const Pulls &pulls;
  const Gradients &out;
  const Weights &weights;
  const Plan &plan;
  int64_t b0, rows;
  float *left, *gates, *reset, *dh, *dc, *back, *dx;
  float *sums;  // (F + 1 + H, blocks * P)

  int64_t time(int64_t t) const { return l.layer.backwards ? l.T - 1 - t : t; }
  bool seen(int64_t r, int64_t t) const { return !in.seen || in.seen[(b0 + r) * l.T + time(t)]; }
  float *left_row(int64_t copy, int64_t place) const { return left + (copy * plan.steps * rows + place) * l.stride; }

  // h before step t, of row r.
  Vec before(int64_t r, int64_t t, int64_t j) const {
    const float *from = t > 0 ? pulls.h + ((b0 + r) * l.T + t - 1) * l.H : in.h0 ? in.h0 + (b0 + r) * l.H : nullptr;
    return from ? load_part(from + j, l.H - j) : Vec{};
  }
  const float *kept(int64_t r, int64_t t) const { return pulls.kept + (b0 * l.T + t * rows + r) * l.row; }

  // The left sides of a block of steps as forward had them.
  void fill(int64_t first, int64_t count) {
    for (int64_t s = 0; s < count; ++s)
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t copy = 0; copy < l.copies; ++copy) {
          float *to = left_row(copy, s * rows + r);
          fill_x(l, in.x + ((b0 + r) * l.T + time(first + s)) * l.F, x_mask(l, in, copy, b0 + r), to);
          const float *mask = h_mask(l, in, copy, b0 + r);
          for (int64_t j = 0; j < l.P; j += V) {
            const Vec h = before(r, first + s, j);
            store(to + l.F + 1 + j, mask ? h * load_part(mask + j, l.H - j) : h);
          }
        }
  }

  // Gate gradients of step t into place s of the block; dh and dc become those of the step before,
  // without what comes back through the products.
  template <bool USUAL>
  void cell(int64_t t, int64_t s) {
    const Activations<USUAL> f{l.layer.act, l.layer.gate_act};
    const int64_t P = l.P;
    for (int64_t r = 0; r < rows; ++r) {
      float *dz = gates + (s * rows + r) * plan.gate_stride, *to_h = dh + r * P, *to_c = dc + r * P;
      const float *pull = pulls.dh ? pulls.dh + ((b0 + r) * l.T + t) * l.H : nullptr;
      const bool is_seen = seen(r, t);
      const float *g = l.row ? kept(r, t) : nullptr;
      const float *c_row = t > 0 ? (l.row ? kept(r, t - 1) + 4 * P : nullptr) : nullptr;
      for (int64_t j = 0; j < P; j += V) {
        Vec d = load(to_h + j);
        if (pull) d += load_part(pull + j, l.H - j);
        if (!is_seen) {
          for (int64_t block = 0; block < l.blocks; ++block) store(dz + block * P + j, Vec{});
          store(to_h + j, d);
          continue;
        }
        if (l.layer.cell == Cell::lstm) {
          const Vec i = load(g + j), keep = load(g + P + j), candidate = load(g + 2 * P + j);
          const Vec o = load(g + 3 * P + j), shown = f.state(load(g + 4 * P + j));
          const Vec c_before = c_row ? load(c_row + j)
                               : in.c0 ? load_part(in.c0 + (b0 + r) * l.H + j, l.H - j) : Vec{};
          const Vec dcell = load(to_c + j) + d * o * f.state_slope(shown);
          store(dz + j, dcell * candidate * f.gates_slope(i));
          store(dz + P + j, dcell * c_before * f.gates_slope(keep));
          store(dz + 2 * P + j, dcell * i * f.state_slope(candidate));
          store(dz + 3 * P + j, d * shown * f.gates_slope(o));
          store(to_c + j, dcell * keep);
          store(to_h + j, Vec{});
        } else if (l.layer.cell == Cell::gru) {
          const Vec z = load(g + j), candidate = load(g + (l.blocks - 1) * P + j), h = before(r, t, j);
          const Vec dcandidate = d * (1.0f - z) * f.state_slope(candidate);
          store(dz + j, d * (h - candidate) * f.gates_slope(z));
          store(dz + (l.blocks - 1) * P + j, dcandidate);
          if (l.layer.reset_after) {
            const Vec open = load(g + P + j);
            store(dz + P + j, dcandidate * load(g + 2 * P + j) * f.gates_slope(open));
            store(dz + 2 * P + j, dcandidate * open);
          }
          store(to_h + j, d * z);
        } else {
          const float *h = pulls.h + ((b0 + r) * l.T + t) * l.H;
          store(dz + j, d * f.state_slope(load_part(h + j, l.H - j)));
          store(to_h + j, Vec{});
        }
      }
      if (l.H % V && is_seen)  // 0 times infinity is no number: nothing may stand where there is no unit
        for (int64_t block = 0; block < l.blocks; ++block) {
          float *last = dz + block * P + P - V;
          store(last, load_some(last, l.H % V));
        }
    }
    if (l.resets_before()) through_reset<USUAL>(t, s);
  }

  // A reset gate that acts before the product: d(r h) = dcandidate U_cT, and from there to r and h.
  template <bool USUAL>
  void through_reset(int64_t t, int64_t s) {
    const Activations<USUAL> f{l.layer.act, l.layer.gate_act};
    const int64_t P = l.P;
    product<false>(rows, P, gates + s * rows * plan.gate_stride + 2 * P, plan.gate_stride, weights.candidate, P / V,
                   back, P, P);
    for (int64_t r = 0; r < rows; ++r) {
      float *dz = gates + (s * rows + r) * plan.gate_stride;
      const float *mask = h_mask(l, in, 2, b0 + r), *g = kept(r, t);
      for (int64_t j = 0; j < P; j += V) {
        const Vec open = load(g + P + j), drh = load(back + r * P + j);
        Vec h = before(r, t, j), through = drh * open;
        if (mask) {
          const Vec m = load_part(mask + j, l.H - j);
          h *= m;
          through *= m;
        }
        const bool is_seen = seen(r, t);
        Vec dreset = is_seen ? drh * h * f.gates_slope(open) : Vec{};
        store(reset + (s * rows + r) * P + j, open * h);
        store(dz + P + j, dreset);
        store(dh + r * P + j, load(dh + r * P + j) + (is_seen ? through : Vec{}));
      }
      if (l.H % V) store(dz + P + P - V, load_some(dz + P + P - V, l.H % V));
    }
  }

  // What comes back through the products of place s: to the state before, and to the input.
  void products(int64_t t, int64_t s) {
    const float *dz = gates + s * rows * plan.gate_stride;
    for (size_t p = 0; p < l.to_h.size(); ++p) {
      const Piece &piece = l.to_h[p];
      if (!l.layer.h_masks) {
        product<true>(rows, piece.columns, dz + piece.column, plan.gate_stride, weights.to_h[p], l.P / V, dh, l.P,
                      piece.columns);
        continue;
      }
      product<false>(rows, piece.columns, dz + piece.column, plan.gate_stride, weights.to_h[p], l.P / V, back, l.P,
                     piece.columns);
      for (int64_t r = 0; r < rows; ++r) {
        const float *mask = h_mask(l, in, piece.copy, b0 + r);
        for (int64_t j = 0; j < l.P; j += V)
          store(dh + r * l.P + j, load(dh + r * l.P + j) + load(back + r * l.P + j) * load_part(mask + j, l.H - j));
      }
    }
    if (!out.dx) return;
    const int64_t wide = whole(l.F);
    for (size_t p = 0; p < l.to_x.size(); ++p) {
      const Piece &piece = l.to_x[p];
      product<false>(rows, piece.columns, dz + piece.column, plan.gate_stride, weights.to_x[p], wide / V, dx, wide,
                     piece.columns);
      for (int64_t r = 0; r < rows; ++r) {
        float *to = out.dx + ((b0 + r) * l.T + time(t)) * l.F;
        const float *mask = x_mask(l, in, piece.copy, b0 + r);
        for (int64_t j = 0; j < l.F; j += V) {
          Vec v = load(dx + r * wide + j);
          if (mask) v *= load_part(mask + j, l.F - j);
          store_part(to + j, p ? v + load_part(to + j, l.F - j) : v, l.F - j);
        }
      }
    }
  }

  // Adds a block's share to the gradients of the weights.
  void add_weights(int64_t count) {
    const int64_t places = count * rows, width = l.blocks * l.P;
    for (const Piece &piece : l.forward)
      product_outer(piece.count, places, left_row(piece.copy, 0) + piece.from, l.stride, gates + piece.column,
                    plan.gate_stride, piece.columns / V, sums + piece.from * width + piece.column, width);
    if (weights.candidate)
      product_outer(l.H, places, reset, l.P, gates + 2 * l.P, plan.gate_stride, l.P / V,
                    sums + (l.F + 1) * width + 2 * l.P, width);
  }

  template <bool USUAL>
  void run() {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < l.P; j += V) {
        const int64_t at = (b0 + r) * l.H + j, left_over = l.H - j;
        store(dh + r * l.P + j, pulls.dh_last ? load_part(pulls.dh_last + at, left_over) : Vec{});
        store(dc + r * l.P + j, pulls.dc_last ? load_part(pulls.dc_last + at, left_over) : Vec{});
      }
    for (int64_t end = l.T; end > 0;) {
      const int64_t count = std::min(plan.steps, end), first = end - count;
      fill(first, count);
      for (int64_t s = count - 1; s >= 0; --s) {
        cell<USUAL>(first + s, s);
        products(first + s, s);
      }
      add_weights(count);
      end = first;
    }
    for (int64_t r = 0; r < rows; ++r) {
      const size_t bytes = static_cast<size_t>(l.H) * 4;
      if (out.dh0) std::memcpy(out.dh0 + (b0 + r) * l.H, dh + r * l.P, bytes);
      if (out.dc0) std::memcpy(out.dc0 + (b0 + r) * l.H, dc + r * l.P, bytes);
    }
  }
};

// Adds the slots' sums up and writes them where Keras keeps its weights.
void gather(const Layout &l, const float *sums, size_t slot, int64_t slots, const Gradients &out) {
  const int64_t width = l.blocks * l.P, full = l.G * l.H;
  const auto total = [&](int64_t row, int64_t column, float *to, bool add) {
    for (int64_t j = 0; j < l.H; j += V) {
      const int64_t left = l.H - j;
      Vec sum = load(sums + row * width + column + j);
      for (int64_t s = 1; s < slots; ++s) sum += load(sums + static_cast<size_t>(s) * slot + row * width + column + j);
      store_part(to + j, add ? load_part(to + j, left) + sum : sum, left);
    }
  };
  for (int64_t block = 0; block < l.blocks; ++block) {
    const int64_t to = l.gate(block) * l.H, from = block * l.P;
    const bool split = l.resets_before() && block == 2;  // the candidate's U_c
    if (l.has_x(block))
      for (int64_t i = 0; i < l.F; ++i) total(i, from, out.dkernel + i * full + to, false);
    if (l.has_h(block) || split)
      for (int64_t i = 0; i < l.H; ++i) total(l.F + 1 + i, from, out.drecurrent + i * full + to, false);
    if (out.dbias && l.has_x(block)) total(l.F, from, out.dbias + to, false);
    if (out.dbias && l.layer.biases() == 2 && l.has_h(block)) total(l.F, from, out.dbias + full + to, false);
  }
}

}  // namespace

void backward(const Layer &layer, const Inputs &in, const Pulls &pulls, const Gradients &out, const Pool &pool) {
  static thread_local Scratch shared_memory;
  const Layout l(layer);
  Cutter cut;
  size_t h_at[6], x_at[6];
  for (size_t p = 0; p < l.to_h.size(); ++p) h_at[p] = cut.take(static_cast<size_t>(l.to_h[p].columns * l.P));
  for (size_t p = 0; p < l.to_x.size(); ++p)
    x_at[p] = cut.take(out.dx ? static_cast<size_t>(l.to_x[p].columns * whole(l.F)) : 0);
  const size_t candidate_at = cut.take(l.resets_before() ? static_cast<size_t>(l.P * l.P) : 0);
  const int64_t slots = std::min(layer.slots, layer.tiles);
  const size_t slot = (static_cast<size_t>((l.F + 1 + l.H) * l.blocks * l.P) + 15) / 16 * 16;
  const size_t sums_at = cut.take(slot * static_cast<size_t>(slots));
  float *memory = shared_memory.get(cut.used);
  Weights weights;
  for (size_t p = 0; p < l.to_h.size(); ++p) {
    pack_back(l, in.recurrent, l.H, l.to_h[p], memory + h_at[p]);
    weights.to_h[p] = memory + h_at[p];
  }
  for (size_t p = 0; p < l.to_x.size(); ++p) {
    if (out.dx) pack_back(l, in.kernel, l.F, l.to_x[p], memory + x_at[p]);
    weights.to_x[p] = memory + x_at[p];
  }
  if (l.resets_before()) {
    pack_back(l, in.recurrent, l.H, Piece{0, 0, l.H, 2 * l.P, l.P}, memory + candidate_at);
    weights.candidate = memory + candidate_at;
  }
  const bool usual = layer.act == Act::tanh && layer.gate_act == Act::sigmoid;
  const Plan plan(l);
  share(pool, slots, [&](int64_t s) {
    static thread_local Scratch tile_memory;
    const FlushTiny tiny;
    float *at = tile_memory.get(plan.cut.used), *sums = memory + sums_at + slot * static_cast<size_t>(s);
    std::memset(sums, 0, slot * sizeof(float));
    for (int64_t i = s * layer.tiles / slots; i < (s + 1) * layer.tiles / slots; ++i) {
      Tile tile{l, in, pulls, out, weights, plan, l.first(i), l.rows(i), at + plan.left, at + plan.gates,
                at + plan.reset, at + plan.dh, at + plan.dc, at + plan.back, at + plan.dx, sums};
      if (usual) tile.run<true>();
      else tile.run<false>();
    }
  });
  gather(l, memory + sums_at, slot, slots, out);
}

}  // namespace BACKMIX_ISA
}  // namespace backmix
