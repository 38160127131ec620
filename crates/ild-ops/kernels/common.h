// What every kernel shares: numbers as they are stored, sums over a warp, the matrix product of a warp.
//
// A kernel is compiled twice from the same source: by nvcc for a GPU, and as C++ for the tests that run without one
// (emulation/). Nothing from CUDA's own headers is used, so NVRTC compiles it as well.
#pragma once

#if defined(__CUDACC__)
#define SHARED_BYTES(name) extern __shared__ __align__(16) unsigned char name[]
#define KERNEL(name, signature, ...) \
    extern "C" __global__ void __launch_bounds__(128) name signature { __VA_ARGS__; }
#define INFINITE __int_as_float(0x7f800000)
#else
#include "emulation/emulation.h"
#endif

typedef unsigned int uint32;
typedef long long int64;

// The upper half of an f32, rounded to the nearest.
struct bf16 {
    unsigned short bits;
};

// Four neighbours in one load.
struct __align__(16) four {
    float x, y, z, w;
};

// Eight bytes in one load.
struct __align__(8) two {
    uint32 low, high;
};

__device__ inline float number(float x) { return x; }
__device__ inline float number(bf16 x) { return __uint_as_float(uint32(x.bits) << 16); }

__device__ inline void store(float &to, float x) { to = x; }
__device__ inline void store(bf16 &to, float x) {
#if defined(__CUDACC__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to.bits) : "f"(x));
#else
    to.bits = round_to_bf16(x);
#endif
}

template <class T> __device__ inline void zero(T &to) { store(to, 0.0f); }

__device__ inline int lane() { return threadIdx.x & 31; }
__device__ inline int warp() { return threadIdx.x >> 5; }
__device__ inline int warps() { return blockDim.x >> 5; }

// The numbers of a grid's threads, one after the other, with the channel of each: the remainder is found once, then moved on.
struct Walk {
    int64 i, stride, count;
    int c, step, channels;

    __device__ Walk(int64 count, int channels) : count(count), channels(channels) {
        i = int64(blockIdx.x) * blockDim.x + threadIdx.x;
        stride = int64(gridDim.x) * blockDim.x;
        c = i % channels;
        step = stride % channels;
    }
    __device__ bool goes_on() const { return i < count; }
    __device__ void next() {
        i += stride;
        c += step;
        if (c >= channels) c -= channels;
    }
};

// Sum over the lanes of a warp, the same in each.
__device__ inline float warp_sum(float x) {
    for (int apart = 16; apart > 0; apart /= 2) x += __shfl_xor_sync(0xffffffffu, x, apart);
    return x;
}

// Sum over the four lanes that hold one row of a product.
__device__ inline float quad_sum(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

__device__ inline float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
