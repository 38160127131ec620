// What follows a matrix product: out = x + bias, and + residual where there is one.
//
// x, residual, out: [rows, channels] as T; bias: [channels] as f32. residual may be null.

#include "common.h"

template <class T> __device__ inline void add_bias(const T *x, const float *bias, const T *residual, T *out, int64 count, int channels) {
    for (Walk at(count, channels); at.goes_on(); at.next()) {
        float sum = number(x[at.i]) + bias[at.c];
        store(out[at.i], residual ? sum + number(residual[at.i]) : sum);
    }
}

KERNEL(bias_f32, (const float *x, const float *bias, const float *residual, float *out, int64 count, int channels),
       add_bias(x, bias, residual, out, count, channels))
KERNEL(bias_bf16, (const bf16 *x, const float *bias, const bf16 *residual, bf16 *out, int64 count, int channels),
       add_bias(x, bias, residual, out, count, channels))
