// Sums over rows in a fixed order: parts[p, c] = Σ over the p-th `chunk` rows of x[row, c].
//
// x: [rows, channels] as T; parts: [⌈rows/chunk⌉, channels] as f32. Run again on the parts until one row is left.
// Blocks are counted along the channels first.

#include "common.h"

template <class T> __device__ inline void column_sum(const T *x, float *parts, int64 rows, int channels, int chunk) {
    int across = (channels + blockDim.x - 1) / blockDim.x;
    int channel = blockIdx.x % across * blockDim.x + threadIdx.x;
    int64 part = blockIdx.x / across, first = part * chunk, last = min(first + chunk, rows);
    if (channel >= channels) return;
    float sum = 0;
    for (int64 row = first; row < last; row++) sum += number(x[row * channels + channel]);
    parts[part * channels + channel] = sum;
}

KERNEL(column_sum_f32, (const float *x, float *parts, int64 rows, int channels, int chunk), column_sum(x, parts, rows, channels, chunk))
KERNEL(column_sum_bf16, (const bf16 *x, float *parts, int64 rows, int channels, int chunk), column_sum(x, parts, rows, channels, chunk))
