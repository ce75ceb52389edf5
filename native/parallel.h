// Work shared among threads of somebody else's pool, without ever waiting for a thread to start.
//
// Pieces are claimed from a counter. The caller claims, too, so that everything gets done even if
// no other thread ever comes; it waits only for pieces that somebody has begun. A pool whose
// threads all sit in such a wait can therefore not lock itself up.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>

#include "kernels.h"

namespace backmix {

template <typename F>
void share(const Pool &pool, int64_t pieces, const F &work) {
  const int64_t helpers = pool.threads < pieces ? pool.threads - 1 : pieces - 1;
  if (helpers <= 0 || !pool.start) {
    for (int64_t i = 0; i < pieces; ++i) work(i);
    return;
  }
  struct Shared {
    std::atomic<int64_t> next{0}, done{0};
    std::atomic<bool> failed{false};
    int64_t pieces;
    const F *work;
    std::mutex lock;
    std::condition_variable finished;
    void run() {
      for (;;) {
        const int64_t i = next.fetch_add(1);
        if (i >= pieces) return;
        try {
          (*work)(i);
        } catch (...) {  // out of memory, on a thread that is not ours: the caller is told
          failed.store(true);
        }
        if (done.fetch_add(1) + 1 == pieces) {
          std::lock_guard<std::mutex> held(lock);
          finished.notify_all();
        }
      }
    }
  };
  // owned by every helper, too: one that starts late must still find the counter
  auto shared = std::make_shared<Shared>();
  shared->pieces = pieces;
  shared->work = &work;
  for (int64_t i = 0; i < helpers; ++i) pool.start([shared] { shared->run(); });
  shared->run();
  std::unique_lock<std::mutex> held(shared->lock);
  shared->finished.wait(held, [&] { return shared->done.load() == pieces; });
  if (shared->failed.load()) throw std::bad_alloc();
}

}  // namespace backmix
