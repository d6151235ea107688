// base/blob.h -- a block of bytes held by several places at once.
//
// The first member of everything that an outbox may refer to instead of
// copying. The last holder to let go frees it, through the function that the
// outbox's owner was given (net.h), since only the owner knows what else the
// block means.
#pragma once

#include <stdint.h>

struct Blob {
    uint32_t refs = 1;
};
