// Vectors of floats of one instruction set, and the activations on them.
//
// This file is compiled once per instruction set; BACKMIX_ISA names the namespace. GCC's and
// Clang's vector types do the arithmetic, intrinsics only what those types cannot say.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define BACKMIX_INLINE inline __attribute__((always_inline))

namespace backmix {
namespace BACKMIX_ISA {

#if defined(__AVX512F__)
constexpr int64_t V = 16;       // floats in a vector
constexpr int64_t ROWS = 8;     // rows of a product tile: ROWS x COLUMNS sums stay in registers
constexpr int64_t COLUMNS = 3;  // vectors of a product tile
#elif defined(__AVX2__)
constexpr int64_t V = 8, ROWS = 6, COLUMNS = 2;
#elif defined(__ARM_NEON)
constexpr int64_t V = 4, ROWS = 8, COLUMNS = 3;
#else
constexpr int64_t V = 4, ROWS = 4, COLUMNS = 2;
#endif

typedef float Vec __attribute__((vector_size(V * 4)));
typedef float Loose __attribute__((vector_size(V * 4), aligned(4), may_alias));

BACKMIX_INLINE Vec load(const float *p) { return *reinterpret_cast<const Loose *>(p); }
BACKMIX_INLINE void store(float *p, Vec v) { *reinterpret_cast<Loose *>(p) = v; }
BACKMIX_INLINE Vec all(float s) { return s - Vec{}; }

// The first n floats; the rest of the vector is 0 and nothing behind them is touched.
BACKMIX_INLINE Vec load_some(const float *p, int64_t n) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
#else
  Vec v = {};
  std::memcpy(&v, p, static_cast<size_t>(n) * 4);
  return v;
#endif
}
BACKMIX_INLINE void store_some(float *p, Vec v, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v);
#else
  std::memcpy(p, &v, static_cast<size_t>(n) * 4);
#endif
}

// A NaN in `a` stays: a missing number must never turn into a plausible one.
BACKMIX_INLINE Vec least(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_min_ps((__m512)b, (__m512)a);
#elif defined(__AVX2__)
  return (Vec)_mm256_min_ps((__m256)b, (__m256)a);
#elif defined(__ARM_NEON)
  return (Vec)vminq_f32((float32x4_t)b, (float32x4_t)a);
#elif defined(__SSE2__)
  return (Vec)_mm_min_ps((__m128)b, (__m128)a);
#else
  for (int i = 0; i < V; ++i) a[i] = b[i] < a[i] ? b[i] : a[i];
  return a;
#endif
}
BACKMIX_INLINE Vec most(Vec a, Vec b) {
#if defined(__AVX512F__)
  return (Vec)_mm512_max_ps((__m512)b, (__m512)a);
#elif defined(__AVX2__)
  return (Vec)_mm256_max_ps((__m256)b, (__m256)a);
#elif defined(__ARM_NEON)
  return (Vec)vmaxq_f32((float32x4_t)b, (float32x4_t)a);
#elif defined(__SSE2__)
  return (Vec)_mm_max_ps((__m128)b, (__m128)a);
#else
  for (int i = 0; i < V; ++i) a[i] = b[i] > a[i] ? b[i] : a[i];
  return a;
#endif
}

// p / q for q > 0 of ordinary size.
BACKMIX_INLINE Vec quotient(Vec p, Vec q) {
#if defined(__AVX512F__)
  // 14 bits and one step of Newton: 2^-28, and three times as fast as a division
  Vec r = (Vec)_mm512_rcp14_ps((__m512)q);
  r = r + r * (1.0f - q * r);
  return p * r;
#else
  return p / q;
#endif
}

// tanh as a ratio of polynomials, x P(x^2) / Q(x^2), |error| < 4e-7 in float32; odd, and 1 beyond 9.
// Found by scripts/fit_tanh.py.
BACKMIX_INLINE Vec tanh(Vec x) {
  x = least(most(x, all(-9.0f)), all(9.0f));
  const Vec s = x * x;
  Vec p = s * 1.318429331e-08f + 2.047188736e-05f;
  Vec q = s * 7.702693897e-07f + 3.271391305e-04f;
  p = p * s + 3.486585637e-03f;
  q = q * s + 2.584199374e-02f;
  p = p * s + 1.337320095e-01f;
  q = q * s + 4.670649782e-01f;
  p = p * s + 9.999999064e-01f;
  q = q * s + 1.0f;
  return quotient(x * p, q);
}
BACKMIX_INLINE Vec sigmoid(Vec x) { return tanh(x * 0.5f) * 0.5f + 0.5f; }

template <Act A>
BACKMIX_INLINE Vec activate(Vec x) {
  if constexpr (A == Act::tanh) return tanh(x);
  if constexpr (A == Act::sigmoid) return sigmoid(x);
  if constexpr (A == Act::relu) return most(x, all(0.0f));
  if constexpr (A == Act::hard_sigmoid) return least(most(x * (1.0f / 6.0f) + 0.5f, all(0.0f)), all(1.0f));
  return x;
}

// 1 where a condition holds, else 0.
template <typename Truth>
BACKMIX_INLINE Vec where(Truth condition) {
  typedef int32_t Bits __attribute__((vector_size(V * 4)));
  union { Bits bits; Vec vec; } one;
  one.vec = all(1.0f);
  one.bits &= (Bits)condition;
  return one.vec;
}

// The slope of the activation, from its value y.
template <Act A>
BACKMIX_INLINE Vec slope(Vec y) {
  if constexpr (A == Act::tanh) return 1.0f - y * y;
  if constexpr (A == Act::sigmoid) return y - y * y;
  if constexpr (A == Act::relu) return where(y > Vec{});
  if constexpr (A == Act::hard_sigmoid) return where((y > Vec{}) & (y < all(1.0f))) * (1.0f / 6.0f);
  return all(1.0f);
}

BACKMIX_INLINE int64_t whole(int64_t n) { return (n + V - 1) / V * V; }

}  // namespace BACKMIX_ISA
}  // namespace backmix
