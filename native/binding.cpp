// The kernels for NumPy: `backmix.native`.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <stdexcept>

#include "doors.h"
#include "ffi.h"
#include "network.h"

namespace nb = nanobind;
using namespace backmix;

namespace {

using Array = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Flags = nb::ndarray<const bool, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Places = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu>;
using Made = nb::ndarray<nb::numpy, float>;

Span span(const std::optional<Array> &a) {
  return a ? Span{a->data(), static_cast<int64_t>(a->size())} : Span{};
}

Made make(std::initializer_list<size_t> shape) {
  size_t count = 1;
  for (size_t n : shape) count *= n;
  float *data = new float[count ? count : 1];
  nb::capsule owner(data, [](void *p) noexcept { delete[] static_cast<float *>(p); });
  return Made(data, shape, owner);
}

void require(const std::string &fault) {
  if (!fault.empty()) throw std::invalid_argument(fault);
}

Layer layer_of(const std::vector<int64_t> &form, const Array &x, const Array &recurrent) {
  if (x.ndim() != 3 || recurrent.ndim() != 2) throw std::invalid_argument("x must be (B, T, F), recurrent (H, G H)");
  Layer l;
  require(read_form(form.data(), form.size(), l));
  l.batch = static_cast<int64_t>(x.shape(0)), l.steps = static_cast<int64_t>(x.shape(1));
  l.features = static_cast<int64_t>(x.shape(2)), l.units = static_cast<int64_t>(recurrent.shape(0));
  return l;
}

Span flags(const std::optional<Flags> &seen) {
  return seen ? Span{seen->data(), static_cast<int64_t>(seen->size())} : Span{};
}

Pool pool_for(int64_t pieces) {
  const int most = threads();
  return most > 1 && pieces > 1 ? own_pool(most) : Pool{};
}

nb::tuple forward(Array x, std::optional<Array> h0, std::optional<Array> c0, Array kernel, Array recurrent,
                  std::optional<Array> bias, std::optional<Array> x_mask, std::optional<Array> h_mask,
                  std::optional<Flags> seen, std::vector<int64_t> form, bool sequences, bool keep) {
  Layer l = layer_of(form, x, recurrent);
  Inputs in;
  require(open_door(l, {span(x), span(h0), span(c0), span(kernel), span(recurrent), span(bias), span(x_mask),
                        span(h_mask), flags(seen)}, in));
  const size_t B = static_cast<size_t>(l.batch), T = static_cast<size_t>(l.steps), H = static_cast<size_t>(l.units);
  Made h = make({sequences || keep ? B : 0, T, H}), h_last = make({B, H});
  Made c_last = make({l.cell == Cell::lstm ? B : 0, H}), kept = make({keep ? static_cast<size_t>(kept_size(l)) : 0});
  Outputs out{h.size() ? h.data() : nullptr, h_last.data(), c_last.size() ? c_last.data() : nullptr,
              keep ? kept.data() : nullptr};
  {
    nb::gil_scoped_release free;
    instructions().forward(l, in, out, pool_for(l.tiles));
  }
  return nb::make_tuple(h, h_last, c_last, kept);
}

nb::tuple backward(Array x, std::optional<Array> h0, std::optional<Array> c0, Array kernel, Array recurrent,
                   std::optional<Array> bias, std::optional<Array> x_mask, std::optional<Array> h_mask,
                   std::optional<Flags> seen, Array h, Array kept, std::optional<Array> dh,
                   std::optional<Array> dh_last, std::optional<Array> dc_last, std::vector<int64_t> form,
                   bool need_dx) {
  Layer l = layer_of(form, x, recurrent);
  Inputs in;
  Pulls pulls;
  require(open_door(l, {span(x), span(h0), span(c0), span(kernel), span(recurrent), span(bias), span(x_mask),
                        span(h_mask), flags(seen)}, in));
  require(open_back_door(l, span(h), span(kept), span(dh), span(dh_last), span(dc_last), pulls));
  const size_t B = static_cast<size_t>(l.batch), H = static_cast<size_t>(l.units), GH = H * static_cast<size_t>(l.gates());
  Made dx = make({need_dx ? B : 0, x.shape(1), x.shape(2)}), dh0 = make({B, H});
  Made dc0 = make({l.cell == Cell::lstm ? B : 0, H}), dkernel = make({x.shape(2), GH}), drecurrent = make({H, GH});
  Made dbias = make({in.bias ? static_cast<size_t>(l.biases()) : 0, GH});
  const Gradients out{need_dx ? dx.data() : nullptr, dh0.data(), dc0.size() ? dc0.data() : nullptr, dkernel.data(),
                      drecurrent.data(), in.bias ? dbias.data() : nullptr};
  {
    nb::gil_scoped_release free;
    instructions().backward(l, in, pulls, out, pool_for(std::min(l.tiles, l.slots)));
  }
  return nb::make_tuple(dx, dh0, dc0, dkernel, drecurrent, dbias);
}

void add_layer(Network &network, int64_t cell, int64_t act, int64_t gate_act, bool reset_after, Array kernel,
               Array recurrent, Array bias) {
  if (cell < 0 || cell > 2 || act < 0 || act > 4 || gate_act < 0 || gate_act > 4 || recurrent.ndim() != 2)
    throw std::invalid_argument("a recurrent layer of unknown form");
  Layer form;
  form.cell = static_cast<Cell>(cell), form.act = static_cast<Act>(act), form.gate_act = static_cast<Act>(gate_act);
  form.reset_after = reset_after;
  form.units = static_cast<int64_t>(recurrent.shape(0));
  network.add_layer(form, kernel.data(), static_cast<int64_t>(kernel.size()), recurrent.data(),
                    static_cast<int64_t>(recurrent.size()), bias.data(), static_cast<int64_t>(bias.size()));
}

void add_dense(Network &network, Array kernel, Array bias, int64_t act, bool softmax) {
  if (kernel.ndim() != 2 || bias.ndim() != 1 || kernel.shape(1) != bias.shape(0) || act < 0 || act > 4)
    throw std::invalid_argument("a dense layer needs kernel (I, O) and bias (O,)");
  network.add_dense(static_cast<int64_t>(kernel.shape(0)), static_cast<int64_t>(kernel.shape(1)), kernel.data(),
                    bias.data(), static_cast<Act>(act), softmax);
}

void check_network(const Network &network) {
  if (!network.whole()) throw std::invalid_argument("the layers of the network do not fit one another");
}

void check_state(const Network &network, const Array &state) {
  if (!network.steps()) throw std::invalid_argument("a network that reads statistics of windows has no steps");
  if (static_cast<int64_t>(state.size()) != network.state_size())
    throw std::invalid_argument("the state has " + std::to_string(state.size()) + " numbers, " +
                                std::to_string(network.state_size()) + " are needed");
}

void check_width(const Network &network, const Rows &rows, size_t rank) {
  check_network(network);
  if (rows.ndim() != rank || static_cast<int64_t>(rows.shape(rank - 1)) != network.features())
    throw std::invalid_argument("rows must have " + std::to_string(network.features()) + " features and rank " +
                                std::to_string(rank));
}

// The caller makes the arrays that are written: NumPy makes one in a tenth of a microsecond.
int64_t step(const Network &network, Rows row, Array state, nb::ndarray<float, nb::c_contig, nb::device::cpu> next,
             nb::ndarray<double, nb::c_contig, nb::device::cpu> out) {
  check_width(network, row, 1);
  check_state(network, state);
  if (next.size() != state.size() || static_cast<int64_t>(out.size()) != network.said())
    throw std::invalid_argument("there is no room for the new state or for the outputs");
  return network.step(row.data(), state.data(), next.data(), out.data());
}

nb::tuple carry(const Network &network, Rows rows, Array state) {
  check_width(network, rows, 2);
  check_state(network, state);
  Made out = make({rows.shape(0), static_cast<size_t>(network.outputs())}), next = make({state.size()});
  {
    nb::gil_scoped_release free;
    network.carry(rows.data(), static_cast<int64_t>(rows.shape(0)), state.data(), next.data(), out.data());
  }
  return nb::make_tuple(out, next);
}

Made predict(const Network &network, Rows windows, std::optional<Places> lengths) {
  check_width(network, windows, 3);
  const int64_t steps = static_cast<int64_t>(windows.shape(1));
  if (windows.shape(0) && steps < 1) throw std::invalid_argument("windows must have at least one row");
  if (lengths) {
    if (lengths->size() != windows.shape(0)) throw std::invalid_argument("one length per window is needed");
    for (size_t i = 0; i < lengths->size(); ++i)
      if (lengths->data()[i] < 0 || lengths->data()[i] > steps) throw std::invalid_argument("a length is out of range");
  }
  Made out = make({windows.shape(0), static_cast<size_t>(network.outputs())});
  nb::gil_scoped_release free;
  if (windows.shape(0))
    network.predict(windows.data(), static_cast<int64_t>(windows.shape(0)), steps,
                    lengths ? lengths->data() : nullptr, out.data());
  return out;
}

Made slide(const Network &network, Rows rows, Places starts, int64_t steps) {
  check_width(network, rows, 2);
  const int64_t count = static_cast<int64_t>(rows.shape(0));
  for (size_t i = 0; i < starts.size(); ++i)
    if (starts.data()[i] < 0 || steps < 1 || starts.data()[i] > count - steps)
      throw std::invalid_argument("a window lies outside of the rows");
  Made out = make({starts.size(), static_cast<size_t>(network.outputs())});
  nb::gil_scoped_release free;
  if (starts.size())
    network.slide(rows.data(), count, starts.data(), static_cast<int64_t>(starts.size()), steps, out.data());
  return out;
}

}  // namespace

NB_MODULE(native, m) {
  m.doc() = "Recurrent kernels in C++ for XLA and for NumPy.";
  m.def("instruction_set", [] { return std::string(instructions().name); });
  m.def("threads", &threads);
  m.def("limit_threads", &limit_threads, nb::arg("most"));
  m.def("tiles", [](int64_t batch, int threads) { return tiles(batch, threads); }, nb::arg("batch"), nb::arg("threads"));
  m.def("kept_size", [](int64_t cell, bool reset_after, int64_t batch, int64_t steps, int64_t units) {
    Layer l;
    l.cell = static_cast<Cell>(cell), l.reset_after = reset_after;
    l.batch = batch, l.steps = steps, l.units = units;
    return kept_size(l);
  }, nb::arg("cell"), nb::arg("reset_after"), nb::arg("batch"), nb::arg("steps"), nb::arg("units"));
  m.def("forward", &forward, nb::arg("x"), nb::arg("h0").none(), nb::arg("c0").none(), nb::arg("kernel"),
        nb::arg("recurrent"), nb::arg("bias").none(), nb::arg("x_mask").none(), nb::arg("h_mask").none(),
        nb::arg("seen").none(), nb::arg("form"), nb::arg("sequences"), nb::arg("keep"));
  m.def("backward", &backward, nb::arg("x"), nb::arg("h0").none(), nb::arg("c0").none(), nb::arg("kernel"),
        nb::arg("recurrent"), nb::arg("bias").none(), nb::arg("x_mask").none(), nb::arg("h_mask").none(),
        nb::arg("seen").none(), nb::arg("h"), nb::arg("kept"), nb::arg("dh").none(), nb::arg("dh_last").none(),
        nb::arg("dc_last").none(), nb::arg("form"), nb::arg("need_dx"));
  m.def("xla_calls", [] {
    nb::dict calls;
    calls["backmix_forward"] = nb::capsule(forward_call(), "xla._CUSTOM_CALL_TARGET");
    calls["backmix_backward"] = nb::capsule(backward_call(), "xla._CUSTOM_CALL_TARGET");
    return calls;
  });
  nb::class_<Network>(m, "Network", "A trained network that predicts, with NumPy arrays.")
      .def(nb::init<std::vector<double>, std::vector<double>, std::vector<double>, std::vector<double>>(),
           nb::arg("center"), nb::arg("scale"), nb::arg("low"), nb::arg("high"))
      .def("add_layer", &add_layer, nb::arg("cell"), nb::arg("activation"), nb::arg("recurrent_activation"),
           nb::arg("reset_after"), nb::arg("kernel"), nb::arg("recurrent"), nb::arg("bias"))
      .def("add_dense", &add_dense, nb::arg("kernel"), nb::arg("bias"), nb::arg("activation"), nb::arg("softmax"))
      .def("use_statistics", [](Network &network, double floor, double centre, double stretch) {
        network.use({true, floor, centre, stretch});
      }, nb::arg("floor"), nb::arg("centre"), nb::arg("stretch"))
      .def("check", &check_network)
      .def_prop_ro("state_size", &Network::state_size)
      .def("decode", &Network::decode, nb::arg("center"), nb::arg("scale"), nb::arg("two_classes"))
      .def("step", &step, nb::arg("row"), nb::arg("state"), nb::arg("next").noconvert(), nb::arg("out").noconvert())
      .def("carry", &carry, nb::arg("rows"), nb::arg("state"))
      .def("predict", &predict, nb::arg("windows"), nb::arg("lengths").none())
      .def("slide", &slide, nb::arg("rows"), nb::arg("starts"), nb::arg("steps"));
}
