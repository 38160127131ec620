// Matrix products of one warp on tiles in shared memory: 16 rows of A by N columns.
//
// The 16×8 pieces of a result lie in the lanes as PTX's mma.m16n8k16 leaves them: with g = lane/4 and t = lane%4 a lane holds
// row g, columns 2t and 2t+1, then row g+8, the same columns. bf16 runs on tensor cores, f32 on ordinary multiply-adds, which
// keep 24 bits; both add up in f32.
#pragma once

#include "common.h"

// Numbers from row to row of a tile with `columns` numbers in a row: shifted so that the lanes of a load meet different banks.
template <class T> struct Tile;
template <> struct Tile<float> {
    static const int PAD = 4;
};
template <> struct Tile<bf16> {
    static const int PAD = 8;
};

__device__ inline void mma(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
#if defined(__CUDACC__)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulated_mma(d, a, b);
#endif
}

__device__ inline uint32 pair(const bf16 *two) { return *(const uint32 *)two; }
__device__ inline uint32 pair(bf16 low, bf16 high) { return uint32(low.bits) | uint32(high.bits) << 16; }

// The four numbers of A that a lane brings to a step of 16 along its rows.
__device__ inline void fragment(uint32 (&a)[4], const bf16 *rows, int stride, int k) {
    const bf16 *at = rows + lane() / 4 * stride + k + lane() % 4 * 2;
    a[0] = pair(at);
    a[1] = pair(at + 8 * stride);
    a[2] = pair(at + 8);
    a[3] = pair(at + 8 * stride + 8);
}

// c = A·Bᵀ; A: 16 rows, B: N rows, both of D numbers in tiles of row length `stride`.
template <int D, int N> __device__ inline void product_of_rows(float (&c)[N / 8][4], const bf16 *a, const bf16 *b, int stride) {
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        for (int i = 0; i < 4; i++) c[n][i] = 0;
#pragma unroll
    for (int k = 0; k < D; k += 16) {
        uint32 rows[4];
        fragment(rows, a, stride, k);
#pragma unroll
        for (int n = 0; n < N / 8; n++) {
            const bf16 *at = b + (n * 8 + lane() / 4) * stride + k + lane() % 4 * 2;
            uint32 columns[2] = {pair(at), pair(at + 8)};
            mma(c[n], rows, columns);
        }
    }
}

template <int D, int N> __device__ inline void product_of_rows(float (&c)[N / 8][4], const float *a, const float *b, int stride) {
    const float *upper = a + lane() / 4 * stride, *lower = upper + 8 * stride;
#pragma unroll
    for (int n = 0; n < N / 8; n++)
        for (int i = 0; i < 4; i++) c[n][i] = 0;
    for (int k = 0; k < D; k += 4) {
        four u = *(const four *)(upper + k), l = *(const four *)(lower + k);
#pragma unroll
        for (int n = 0; n < N / 8; n++)
#pragma unroll
            for (int i = 0; i < 2; i++) {
                four other = *(const four *)(b + (n * 8 + lane() % 4 * 2 + i) * stride + k);
                c[n][i] += u.x * other.x + u.y * other.y + u.z * other.z + u.w * other.w;
                c[n][2 + i] += l.x * other.x + l.y * other.y + l.z * other.z + l.w * other.w;
            }
    }
}

// c += P·B; P: 16 rows of K numbers in a tile of row length `p_stride`, B: K rows of D numbers.
template <int D, int K>
__device__ inline void add_product(float (&c)[D / 8][4], const bf16 *p, int p_stride, const bf16 *b, int stride) {
#pragma unroll
    for (int k = 0; k < K; k += 16) {
        uint32 rows[4];
        fragment(rows, p, p_stride, k);
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            const bf16 *at = b + (k + lane() % 4 * 2) * stride + n * 8 + lane() / 4;
            uint32 columns[2] = {pair(at[0], at[stride]), pair(at[8 * stride], at[9 * stride])};
            mma(c[n], rows, columns);
        }
    }
}

template <int D, int K>
__device__ inline void add_product(float (&c)[D / 8][4], const float *p, int p_stride, const float *b, int stride) {
    const float *upper = p + lane() / 4 * p_stride, *lower = upper + 8 * p_stride;
    for (int k = 0; k < K; k++) {
        float u = upper[k], l = lower[k];
        const float *row = b + k * stride + lane() % 4 * 2;
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            float left = row[n * 8], right = row[n * 8 + 1];
            c[n][0] += u * left;
            c[n][1] += u * right;
            c[n][2] += l * left;
            c[n][3] += l * right;
        }
    }
}

// Writes a product as numbers of T into a tile.
template <class T, int N> __device__ inline void put(T *tile, int stride, const float (&c)[N][4]) {
    T *at = tile + lane() / 4 * stride + lane() % 4 * 2;
#pragma unroll
    for (int n = 0; n < N; n++) {
        store(at[n * 8], c[n][0]);
        store(at[n * 8 + 1], c[n][1]);
        store(at[8 * stride + n * 8], c[n][2]);
        store(at[8 * stride + n * 8 + 1], c[n][3]);
    }
}
