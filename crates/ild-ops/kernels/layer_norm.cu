// Layer normalisation of each row over its channels.
//
// With x̂ = (x − mean)·r, r = 1/√(variance + eps) and g = grad·weight:
//   y = x̂·weight + bias
//   dx = r·(g − mean(g) − x̂·mean(g·x̂)),   dweight = Σ over rows of grad·x̂,   dbias = Σ over rows of grad
// A warp takes a row. Rows are stored as T, weight and bias as f32; sums are f32. The sums over rows are left as one part per
// block, which column_sum adds up in a fixed order.

#include "common.h"

template <class T> __device__ inline void moments(const T *row, int channels, float eps, float &mean, float &r) {
    float sum = 0;
    for (int c = lane(); c < channels; c += 32) sum += number(row[c]);
    mean = warp_sum(sum) / channels;
    float squares = 0;
    for (int c = lane(); c < channels; c += 32) {
        float off = number(row[c]) - mean;
        squares += off * off;
    }
    r = 1.0f / sqrtf(warp_sum(squares) / channels + eps);
}

// x, out: [rows, channels]; one warp per row.
template <class T>
__device__ inline void layer_norm(const T *x, const float *weight, const float *bias, T *out, int rows, int channels, float eps) {
    int row = blockIdx.x * warps() + warp();
    if (row >= rows) return;
    x += int64(row) * channels;
    out += int64(row) * channels;
    float mean, r;
    moments(x, channels, eps, mean, r);
    for (int c = lane(); c < channels; c += 32) store(out[c], (number(x[c]) - mean) * r * weight[c] + bias[c]);
}

// x, grad, dx: [rows, channels]; parts: [blocks, 2·channels], dweight then dbias of the block's `chunk` (at most 128) rows.
template <class T>
__device__ inline void layer_norm_backward(const T *x, const float *weight, const T *grad, T *dx, float *parts, int rows, int channels,
                                           float eps, int chunk) {
    SHARED_BYTES(memory);
    float *means = (float *)memory, *rs = means + chunk;
    int first = blockIdx.x * chunk, count = min(chunk, rows - first);
    x += int64(first) * channels;
    grad += int64(first) * channels;
    dx += int64(first) * channels;
    for (int row = warp(); row < count; row += warps()) {
        const T *xs = x + int64(row) * channels, *grads = grad + int64(row) * channels;
        float mean, r, sum_g = 0, sum_gx = 0;
        moments(xs, channels, eps, mean, r);
        for (int c = lane(); c < channels; c += 32) {
            float g = number(grads[c]) * weight[c];
            sum_g += g;
            sum_gx += g * (number(xs[c]) - mean) * r;
        }
        float mean_g = warp_sum(sum_g) / channels, mean_gx = warp_sum(sum_gx) / channels;
        for (int c = lane(); c < channels; c += 32) {
            float normed = (number(xs[c]) - mean) * r;
            store(dx[int64(row) * channels + c], r * (number(grads[c]) * weight[c] - mean_g - normed * mean_gx));
        }
        if (lane() == 0) {
            means[row] = mean;
            rs[row] = r;
        }
    }
    __syncthreads();
    parts += int64(blockIdx.x) * 2 * channels;
    for (int c = threadIdx.x; c < channels; c += blockDim.x) {
        float dweight = 0, dbias = 0;
        for (int row = 0; row < count; row++) {
            float g = number(grad[int64(row) * channels + c]);
            dweight += g * (number(x[int64(row) * channels + c]) - means[row]) * rs[row];
            dbias += g;
        }
        parts[c] = dweight;
        parts[channels + c] = dbias;
    }
}

#define LAYER_NORM(type, name)                                                                                                      \
    KERNEL(layer_norm_##name, (const type *x, const float *weight, const float *bias, type *out, int rows, int channels, float eps), \
           layer_norm(x, weight, bias, out, rows, channels, eps))                                                                   \
    KERNEL(layer_norm_backward_##name,                                                                                              \
           (const type *x, const float *weight, const type *grad, type *dx, float *parts, int rows, int channels, float eps, int chunk), \
           layer_norm_backward(x, weight, grad, dx, parts, rows, channels, eps, chunk))

LAYER_NORM(float, f32)
LAYER_NORM(bf16, bf16)
