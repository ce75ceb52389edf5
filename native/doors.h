// What every door checks before a kernel runs: arrays of unknown origin become `Inputs` here.
#pragma once

#include <string>

#include "kernels.h"

namespace backmix {

// An array as a door sees it: where it lies and how many numbers it has; none counts as absent.
struct Span {
  const void *data = nullptr;
  int64_t count = 0;
};

struct Arrays {
  Span x, h0, c0, kernel, recurrent, bias, x_mask, h_mask, seen;
};

// A layer's static side from seven numbers: cell, act, gate_act, reset_after, backwards, tiles, slots.
std::string read_form(const int64_t *numbers, size_t count, Layer &layer);
// Fills `in` and the layer's number of masks; the text of the first fault, empty when there is none.
std::string open_door(Layer &layer, const Arrays &arrays, Inputs &in);
// The same for what backward takes besides.
std::string open_back_door(const Layer &layer, Span h, Span kept, Span dh, Span dh_last, Span dc_last, Pulls &pulls);

}  // namespace backmix
