// The kernels as XLA calls: buffers in, buffers out, threads of XLA's own pool.
//
// An empty buffer stands for what is not there: no bias, no masks, no gradient wanted.
#include "ffi.h"

#include <algorithm>
#include <exception>

#include "doors.h"
#include "xla/ffi/api/ffi.h"

namespace backmix {
namespace {

namespace ffi = xla::ffi;
using Floats = ffi::Buffer<ffi::F32>;
using Flags = ffi::Buffer<ffi::PRED>;
using Result = ffi::Result<Floats>;

Span span(const Floats &buffer) { return {buffer.untyped_data(), static_cast<int64_t>(buffer.element_count())}; }
float *room(Result &buffer) { return buffer->element_count() ? buffer->typed_data() : nullptr; }

ffi::Error shape_fault(const std::string &text) { return ffi::Error(ffi::ErrorCode::kInvalidArgument, text); }

// An exception must not travel through XLA, which knows none.
template <typename F>
ffi::Error guarded(const F &work) {
  try {
    work();
  } catch (const std::exception &) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "out of memory in a recurrent layer");
  }
  return ffi::Error::Success();
}

// How a layer is put into attributes: [cell, act, gate_act, reset_after, backwards, tiles, slots].
using Form = ffi::Span<const int64_t>;

std::string read(Form form, const Floats &x, const Floats &recurrent, Layer &layer) {
  const auto dims = x.dimensions(), across = recurrent.dimensions();
  if (dims.size() != 3 || across.size() != 2) return "x must be (B, T, F), recurrent (H, G H)";
  layer.batch = dims[0], layer.steps = dims[1], layer.features = dims[2], layer.units = across[0];
  return read_form(form.begin(), form.size(), layer);
}

Pool pool_of(ffi::ThreadPool &threads_of_xla) {
  const int most = static_cast<int>(std::min<int64_t>(threads(), std::max<int64_t>(1, threads_of_xla.num_threads())));
  return {most, [&threads_of_xla](std::function<void()> work) { threads_of_xla.Schedule(std::move(work)); }};
}

ffi::Error forward(ffi::ThreadPool xla_threads, Floats x, Floats h0, Floats c0, Floats kernel, Floats recurrent,
                   Floats bias, Floats x_mask, Floats h_mask, Flags seen, Result h, Result h_last, Result c_last,
                   Result kept, Form form) {
  Layer layer;
  Inputs in;
  std::string fault = read(form, x, recurrent, layer);
  if (fault.empty())
    fault = open_door(layer, {span(x), span(h0), span(c0), span(kernel), span(recurrent), span(bias), span(x_mask),
                              span(h_mask), {seen.untyped_data(), static_cast<int64_t>(seen.element_count())}}, in);
  if (!fault.empty()) return shape_fault(fault);
  const int64_t states = layer.batch * layer.units;
  const auto count = [](Result &r) { return static_cast<int64_t>(r->element_count()); };
  if ((count(h) && count(h) != states * layer.steps) || (count(kept) && count(kept) != kept_size(layer)) ||
      (count(h_last) && count(h_last) != states) || (count(c_last) && count(c_last) != states))
    return shape_fault("an output of the forward pass has the wrong size");
  return guarded([&] {
    instructions().forward(layer, in, {room(h), room(h_last), room(c_last), room(kept)}, pool_of(xla_threads));
  });
}

ffi::Error backward(ffi::ThreadPool xla_threads, Floats x, Floats h0, Floats c0, Floats kernel, Floats recurrent,
                    Floats bias, Floats x_mask, Floats h_mask, Flags seen, Floats h, Floats kept, Floats dh,
                    Floats dh_last, Floats dc_last, Result dx, Result dh0, Result dc0, Result dkernel,
                    Result drecurrent, Result dbias, Form form) {
  Layer layer;
  Inputs in;
  Pulls pulls;
  std::string fault = read(form, x, recurrent, layer);
  if (fault.empty())
    fault = open_door(layer, {span(x), span(h0), span(c0), span(kernel), span(recurrent), span(bias), span(x_mask),
                              span(h_mask), {seen.untyped_data(), static_cast<int64_t>(seen.element_count())}}, in);
  if (fault.empty())
    fault = open_back_door(layer, span(h), span(kept), span(dh), span(dh_last), span(dc_last), pulls);
  if (!fault.empty()) return shape_fault(fault);
  const int64_t states = layer.batch * layer.units;
  const auto count = [](Result &r) { return static_cast<int64_t>(r->element_count()); };
  if ((count(dx) && count(dx) != span(x).count) || (count(dh0) && count(dh0) != states) ||
      (count(dc0) && count(dc0) != states) || count(dkernel) != span(kernel).count ||
      count(drecurrent) != span(recurrent).count || count(dbias) != span(bias).count)
    return shape_fault("a gradient has the wrong size");
  return guarded([&] {
    instructions().backward(layer, in, pulls,
                            {room(dx), room(dh0), room(dc0), room(dkernel), room(drecurrent), room(dbias)},
                            pool_of(xla_threads));
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER(forward_handler, forward,
                       ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                           .Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>()
                           .Arg<Floats>().Arg<Floats>().Arg<Flags>()
                           .Ret<Floats>().Ret<Floats>().Ret<Floats>().Ret<Floats>().Attr<Form>("form"));

XLA_FFI_DEFINE_HANDLER(backward_handler, backward,
                       ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
                           .Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>().Arg<Floats>()
                           .Arg<Floats>().Arg<Floats>().Arg<Flags>().Arg<Floats>().Arg<Floats>().Arg<Floats>()
                           .Arg<Floats>().Arg<Floats>()
                           .Ret<Floats>().Ret<Floats>().Ret<Floats>().Ret<Floats>().Ret<Floats>().Ret<Floats>()
                           .Attr<Form>("form"));

void *forward_call() { return reinterpret_cast<void *>(forward_handler); }
void *backward_call() { return reinterpret_cast<void *>(backward_handler); }

}  // namespace backmix
