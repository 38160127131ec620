// The sums that Dice loss and cross-entropy of a mask are made of.
//
// With p = 1/(1 + e^−x), for each mask over its pixels: Σ p·t, Σ p², Σ t², Σ max(x, 0) − x·t + ln(1 + e^−|x|).
// logits x, truth t: [masks, pixels] as f32; sums: [masks, 4]. One block per mask: each thread adds every 128th pixel, then
// the threads are added in order.
// Backward: dx = p·(1 − p)·(t·g₀ + 2·p·g₁) + (p − t)·g₃ with g the gradient of the four sums.

#include "common.h"

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline void mask_sums(const float *logits, const float *truth, float *sums, int64 pixels) {
    SHARED_BYTES(memory);
    float *partial = (float *)memory;
    logits += blockIdx.x * pixels;
    truth += blockIdx.x * pixels;
    float own[4] = {0, 0, 0, 0};
    for (int64 i = threadIdx.x; i < pixels; i += blockDim.x) {
        float x = logits[i], t = truth[i], p = sigmoid(x);
        own[0] += p * t;
        own[1] += p * p;
        own[2] += t * t;
        own[3] += fmaxf(x, 0.0f) - x * t + log1pf(expf(-fabsf(x)));
    }
    for (int i = 0; i < 4; i++) partial[threadIdx.x * 4 + i] = own[i];
    __syncthreads();
    if (threadIdx.x >= 4) return;
    float sum = 0;
    for (int thread = 0; thread < int(blockDim.x); thread++) sum += partial[thread * 4 + threadIdx.x];
    sums[blockIdx.x * 4 + threadIdx.x] = sum;
}

__device__ inline void mask_sums_backward(const float *logits, const float *truth, const float *grad, float *dx, int64 count, int64 pixels) {
    for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64(gridDim.x) * blockDim.x) {
        const float *g = grad + i / pixels * 4;
        float p = sigmoid(logits[i]), t = truth[i];
        dx[i] = p * (1.0f - p) * (t * g[0] + 2.0f * p * g[1]) + (p - t) * g[3];
    }
}

KERNEL(mask_sums_f32, (const float *logits, const float *truth, float *sums, int64 pixels), mask_sums(logits, truth, sums, pixels))
KERNEL(mask_sums_backward_f32, (const float *logits, const float *truth, const float *grad, float *dx, int64 count, int64 pixels),
       mask_sums_backward(logits, truth, grad, dx, count, pixels))
