// The largest of each 2×2 block of a channels-last map; the gradient goes to the first largest, NaN counts as largest.
//
// x, dx: [b, height, width, channels]; out, grad: [b, height/2, width/2, channels]. An odd last row or column is not looked at.
// At most 2³² numbers in out.

#include "common.h"

// Where the upper left of the four numbers of output number `i` is.
__device__ inline int64 upper_left(uint32 i, uint32 height, uint32 width, uint32 channels) {
    uint32 c = i % channels, rest = i / channels, across = width / 2, down = height / 2;
    uint32 x = rest % across, y = rest / across % down, image = rest / across / down;
    return ((int64(image) * height + 2 * y) * width + 2 * x) * channels + c;
}

template <class T> __device__ inline int64 largest(const T *x, int64 first, int width, int channels) {
    const int64 places[4] = {first, first + channels, first + int64(width) * channels, first + int64(width + 1) * channels};
    int64 best = places[0];
    for (int i = 1; i < 4; i++) {
        float challenge = number(x[places[i]]), so_far = number(x[best]);
        if (so_far == so_far && (challenge > so_far || challenge != challenge)) best = places[i];
    }
    return best;
}

template <class T> __device__ inline void max_pool(const T *x, T *out, int64 count, int height, int width, int channels) {
    for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64(gridDim.x) * blockDim.x)
        out[i] = x[largest(x, upper_left(i, height, width, channels), width, channels)];
}

// dx must be zeros.
template <class T>
__device__ inline void max_pool_backward(const T *x, const T *grad, T *dx, int64 count, int height, int width, int channels) {
    for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64(gridDim.x) * blockDim.x)
        dx[largest(x, upper_left(i, height, width, channels), width, channels)] = grad[i];
}

#define MAX_POOL(type, name)                                                                                              \
    KERNEL(max_pool_##name, (const type *x, type *out, int64 count, int height, int width, int channels),                 \
           max_pool(x, out, count, height, width, channels))                                                              \
    KERNEL(max_pool_backward_##name, (const type *x, const type *grad, type *dx, int64 count, int height, int width, int channels), \
           max_pool_backward(x, grad, dx, count, height, width, channels))

MAX_POOL(float, f32)
MAX_POOL(bf16, bf16)
