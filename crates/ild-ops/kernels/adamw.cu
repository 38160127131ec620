// One AdamW step of a tensor in place, in PyTorch's order of operations (crates/ild-train/src/adamw.rs).
//
//   m ← m + (1 − β₁)·(g − m),   v ← β₂·v + (1 − β₂)·g²,   p ← keep·p − step·m / (√v / root + eps)
// p, m, v, g: [count] as f32. keep = 1 − lr·decay, step = lr / (1 − β₁ᵗ), root = √(1 − β₂ᵗ).

#include "common.h"

__device__ inline void adamw(float *p, float *m, float *v, const float *g, int64 count, float rest1, float beta2, float rest2, float keep,
                             float step, float root, float eps) {
    for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64(gridDim.x) * blockDim.x) {
        float gradient = g[i];
        m[i] += rest1 * (gradient - m[i]);
        v[i] = v[i] * beta2 + rest2 * gradient * gradient;
        p[i] = p[i] * keep - step * m[i] / (sqrtf(v[i]) / root + eps);
    }
}

KERNEL(adamw_f32,
       (float *p, float *m, float *v, const float *g, int64 count, float rest1, float beta2, float rest2, float keep, float step,
        float root, float eps),
       adamw(p, m, v, g, count, rest1, beta2, rest2, keep, step, root, eps))
