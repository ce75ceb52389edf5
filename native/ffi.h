// The kernels' entry points for XLA.
#pragma once

namespace backmix {

void *forward_call();
void *backward_call();

}  // namespace backmix
