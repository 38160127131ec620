// Enough of CUDA to run the kernels as C++ on a CPU, one block after the other, each thread of a block a fiber.
//
// Threads change places only where CUDA lets them wait for each other: at __syncthreads, __syncwarp, shuffles and matrix
// products. Shared memory is filled with NaN before each block and guarded behind its end.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

using std::min;

#define __device__
#define __global__
#define __align__(n) alignas(n)
#define INFINITE INFINITY

struct Coordinates {
    unsigned x, y, z;
};
extern Coordinates threadIdx, blockIdx, blockDim, gridDim;
extern unsigned char *emulated_shared_memory;

#define SHARED_BYTES(name) unsigned char *name = emulated_shared_memory
#define KERNEL(name, signature, ...)                       \
    static void name signature { __VA_ARGS__; }            \
    static Registered registered_##name(#name, name);

// A kernel and how to call it with CUDA's array of pointers to arguments.
struct Registered {
    template <class... A> Registered(const char *name, void (*kernel)(A...)) {
        add(name, (void *)kernel, [](void *kernel, void **arguments) { call((void (*)(A...))kernel, arguments, std::index_sequence_for<A...>()); });
    }
    template <class... A, std::size_t... I> static void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
        kernel(*(std::remove_reference_t<A> *)arguments[I]...);
    }
    static void add(const char *name, void *kernel, void (*call)(void *, void **));
};

void __syncthreads();
void __syncwarp(unsigned lanes = 0xffffffffu);
float __shfl_xor_sync(unsigned lanes, float value, int apart);
// One lane's part of D += A·B, with the layout of PTX's mma.m16n8k16.
void emulated_mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

inline float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

// To the nearest, ties to even, as cvt.rn.bf16.f32.
inline unsigned short round_to_bf16(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, 4);
    if (x != x) return 0x7fff;
    return (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
