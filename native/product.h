// Matrix products on tiles whose sums stay in registers.
//
// `Packed` holds a matrix in the order in which the tiles read it: panels of up to COLUMNS vectors,
// row after row inside a panel, zeros where the columns do not fill a vector.
#pragma once

#include <utility>

#include "vector.h"

namespace backmix {
namespace BACKMIX_ISA {

// Panels are as even as possible (4 vectors are 2 + 2, not 3 + 1): a narrow one loads more than it adds.
template <typename F>
BACKMIX_INLINE void panels(int64_t vectors, const F &each) {
  const int64_t count = (vectors + COLUMNS - 1) / COLUMNS;
  int64_t at = 0;
  for (int64_t p = 0; p < count; ++p) {
    const int64_t width = vectors / count + (p < vectors % count ? 1 : 0);
    each(at, width);
    at += width;
  }
}

// c (M, N vectors) [+]= a (M, k) b (k, N vectors of one panel).
template <int M, int N, bool ADD>
void tile(int64_t k, const float *__restrict a, int64_t lda, const float *__restrict b, float *__restrict c,
          int64_t ldc) {
  Vec sum[M][N];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sum[m][n] = ADD ? load(c + m * ldc + n * V) : Vec{};
  for (int64_t i = 0; i < k; ++i, b += N * V) {
    Vec row[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) row[n] = load(b + n * V);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const Vec s = all(a[m * lda + i]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[m][n] += s * row[n];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) store(c + m * ldc + n * V, sum[m][n]);
}

// c (M, N vectors) += aT b, with a (k, M) and b (k, N vectors), both unpacked.
template <int M, int N>
void tile_outer(int64_t k, const float *__restrict a, int64_t lda, const float *__restrict b, int64_t ldb,
                float *__restrict c, int64_t ldc) {
  Vec sum[M][N];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sum[m][n] = load(c + m * ldc + n * V);
  for (int64_t i = 0; i < k; ++i, a += lda, b += ldb) {
    Vec row[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) row[n] = load(b + n * V);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const Vec s = all(a[m]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[m][n] += s * row[n];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) store(c + m * ldc + n * V, sum[m][n]);
}

// Calls f with a compile-time number: f(std::integral_constant<int, n>) for 1 <= n <= MOST.
template <int MOST, typename F>
BACKMIX_INLINE void with_number(int64_t n, const F &f) {
  if constexpr (MOST > 1) {
    if (n < MOST) return with_number<MOST - 1>(n, f);
  }
  f(std::integral_constant<int, MOST>{});
}

// c (m, vectors) [+]= a (m, k) times rows [first, first + k) of a packed matrix (deep, vectors); m <= ROWS.
template <bool ADD>
void product(int64_t m, int64_t k, const float *a, int64_t lda, const float *packed, int64_t vectors, float *c,
             int64_t ldc, int64_t deep, int64_t first = 0) {
  with_number<ROWS>(m, [&](auto rows) {
    panels(vectors, [&](int64_t at, int64_t width) {
      with_number<COLUMNS>(width, [&](auto columns) {
        tile<rows(), columns(), ADD>(k, a, lda, packed + at * V * deep + first * width * V, c + at * V, ldc);
      });
    });
  });
}

// c (m, vectors) += aT b over k rows; a (k, m) and b (k, vectors) with their own strides.
BACKMIX_INLINE void product_outer(int64_t m, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
                                  int64_t vectors, float *c, int64_t ldc) {
  panels(vectors, [&](int64_t at, int64_t width) {
    with_number<COLUMNS>(width, [&](auto columns) {
      // as even as possible, too: 10 rows are 5 + 5, not 8 + 2
      const int64_t count = (m + ROWS - 1) / ROWS;
      int64_t first = 0;
      for (int64_t p = 0; p < count; ++p) {
        const int64_t some = m / count + (p < m % count ? 1 : 0);
        with_number<ROWS>(some, [&](auto rows) {
          tile_outer<rows(), columns()>(k, a + first, lda, b + at * V, ldb, c + first * ldc + at * V, ldc);
        });
        first += some;
      }
    });
  });
}

// Packs a matrix of k rows: cell(row, vector) gives (pointer, how many floats are there, 0 for zeros).
template <typename F>
void pack(int64_t k, int64_t vectors, float *out, const F &cell) {
  panels(vectors, [&](int64_t at, int64_t width) {
    float *to = out + at * V * k;
    for (int64_t row = 0; row < k; ++row)
      for (int64_t n = 0; n < width; ++n, to += V) {
        const std::pair<const float *, int64_t> from = cell(row, at + n);
        store(to, from.second >= V ? load(from.first) : from.second > 0 ? load_some(from.first, from.second) : Vec{});
      }
  });
}

// Packs the transpose: `value(column)` points at column `column` of what becomes the rows, `stride` apart.
template <typename F>
void pack_transposed(int64_t k, int64_t columns, float *out, const F &column) {
  const int64_t vectors = whole(columns) / V;
  panels(vectors, [&](int64_t at, int64_t width) {
    float *to = out + at * V * k;
    for (int64_t n = 0; n < width * V; ++n) {
      const int64_t c = at * V + n;
      if (c < columns) {
        column(c, [&](int64_t row, float value) { to[row * width * V + n] = value; });
      } else {
        for (int64_t row = 0; row < k; ++row) to[row * width * V + n] = 0.0f;
      }
    }
  });
}

}  // namespace BACKMIX_ISA
}  // namespace backmix
