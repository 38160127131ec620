// GELU with the exact normal distribution function, after a bias where there is one.
//
// With z = x + bias: out = z·Φ(z), and out = grad·(Φ(z) + z·φ(z)); Φ(z) = (1 + erf(z/√2))/2, φ(z) = e^(−z²/2)/√(2π).
// x, grad, out: [rows, channels] as T; bias: [channels] as f32, or null.

#include "common.h"

__device__ inline float phi(float z) { return 0.5f * (1.0f + erff(z * 0.70710678118654752f)); }

template <class T> __device__ inline void gelu(const T *x, const float *bias, T *out, int64 count, int channels) {
    for (Walk at(count, channels); at.goes_on(); at.next()) {
        float z = number(x[at.i]) + (bias ? bias[at.c] : 0.0f);
        store(out[at.i], z * phi(z));
    }
}

template <class T> __device__ inline void gelu_slope(const T *x, const float *bias, const T *grad, T *out, int64 count, int channels) {
    for (Walk at(count, channels); at.goes_on(); at.next()) {
        float z = number(x[at.i]) + (bias ? bias[at.c] : 0.0f);
        store(out[at.i], number(grad[at.i]) * (phi(z) + z * expf(-0.5f * z * z) * 0.39894228040143268f));
    }
}

#define GELU(type, name)                                                                                                     \
    KERNEL(gelu_##name, (const type *x, const float *bias, type *out, int64 count, int channels),                            \
           gelu(x, bias, out, count, channels))                                                                              \
    KERNEL(gelu_slope_##name, (const type *x, const float *bias, const type *grad, type *out, int64 count, int channels),    \
           gelu_slope(x, bias, grad, out, count, channels))

GELU(float, f32)
GELU(bf16, bf16)
