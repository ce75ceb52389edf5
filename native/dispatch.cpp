// Which instruction set runs, and on how many threads.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "kernels.h"

namespace backmix {

#define BACKMIX_DECLARE(isa)                                                                          \
  namespace isa {                                                                                     \
  void forward(const Layer &, const Inputs &, const Outputs &, const Pool &);                         \
  void backward(const Layer &, const Inputs &, const Pulls &, const Gradients &, const Pool &);       \
  int64_t packed_size(const Layer &);                                                                 \
  void pack(const Layer &, const Inputs &, float *);                                                  \
  int64_t projected_size(const Layer &);                                                              \
  void project(const Layer &, const float *, int64_t, const float *, float *, const Pool &);          \
  }
#ifdef BACKMIX_HAS_AVX512
BACKMIX_DECLARE(avx512)
#endif
#ifdef BACKMIX_HAS_AVX2
BACKMIX_DECLARE(avx2)
#endif
#ifdef BACKMIX_HAS_NEON
BACKMIX_DECLARE(neon)
#endif
#ifdef BACKMIX_HAS_PORTABLE
BACKMIX_DECLARE(portable)
#endif

#define BACKMIX_SET(isa, rows, width)                                                                       \
  {#isa, rows, width, isa::forward, isa::backward, isa::packed_size, isa::pack, isa::projected_size, isa::project}

int instruction_sets(const Set **found, int most) {
  static const std::vector<Set> sets = [] {
    std::vector<Set> s;
#ifdef BACKMIX_HAS_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
      s.push_back(BACKMIX_SET(avx512, 8, 16));
#endif
#ifdef BACKMIX_HAS_AVX2
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
      s.push_back(BACKMIX_SET(avx2, 6, 8));
#endif
#ifdef BACKMIX_HAS_NEON
    s.push_back(BACKMIX_SET(neon, 8, 4));
#endif
#ifdef BACKMIX_HAS_PORTABLE
    s.push_back(BACKMIX_SET(portable, 4, 4));
#endif
    return s;
  }();
  int count = 0;
  for (const Set &set : sets)
    if (count < most) found[count++] = &set;
  return count;
}

const Set &instructions() {
  static const Set &chosen = []() -> const Set & {
    const Set *found[4];
    const int count = instruction_sets(found, 4);
    if (const char *asked = std::getenv("BACKMIX_ISA"))
      for (int i = 0; i < count; ++i)
        if (!std::strcmp(asked, found[i]->name)) return *found[i];
    return *found[0];
  }();
  return chosen;
}

int64_t tiles(int64_t batch, int threads) {
  threads = std::max(1, threads);
  const int64_t rows = instructions().rows;
  const int64_t least = (batch + rows - 1) / rows;
  const int64_t even = (least + threads - 1) / threads * threads;  // as much for every thread
  return std::max<int64_t>(1, std::min(batch, even));
}

int64_t kept_size(const Layer &l) {
  const int64_t width = instructions().width, padded = (l.units + width - 1) / width * width;
  const int64_t each = l.cell == Cell::lstm ? 5 : l.cell == Cell::simple_rnn ? 0 : l.reset_after ? 4 : 3;
  return std::max<int64_t>(1, each * padded * l.batch * l.steps);
}

static std::atomic<int> limit{0};

void limit_threads(int most) { limit.store(most); }

int threads() {
  static const int machine = [] {
    int found = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t mine;
    if (!sched_getaffinity(0, sizeof mine, &mine)) found = CPU_COUNT(&mine);
#endif
    const char *asked = std::getenv("BACKMIX_THREADS");
    const int wanted = asked ? std::atoi(asked) : 0;
    return std::max(1, wanted > 0 ? wanted : found);
  }();
  const int most = limit.load();
  return most > 0 ? std::min(most, machine) : machine;
}

Pool own_pool(int threads) {
  struct Team {
    std::vector<std::thread> members;
    ~Team() {
      for (std::thread &member : members) member.join();
    }
  };
  auto team = std::make_shared<Team>();
  return {threads, [team](std::function<void()> work) {
            try {
              team->members.emplace_back(std::move(work));
            } catch (const std::exception &) {
              // no thread to be had: the caller does this work, too
            }
          }};
}

}  // namespace backmix
