// O = softmax(scale·Q·Kᵀ)·V without the matrix of scores in memory.
//
// A block takes 16 queries per warp and walks over the keys, STEP at a time. For each query it keeps the largest score so far m,
// the sum l of 2^(s − m) and the sum of 2^(s − m)·v; when m grows to m′ both sums are multiplied by 2^(m − m′). At the end
// O = Σ/l, and L = m + log₂ l is kept for the backward pass ("online softmax", Milakov and Gimelshein 2018; Dao et al. 2022).
// Stored as T, products and sums in f32. Blocks are counted by problem, then by block of queries.

#include "attention.h"

template <int D, int STEP, class T>
__device__ inline void attention_forward(const T *q, const T *k, const T *v, const T *bias, T *out, float *log_sums, Shape s, float scale) {
    const int STRIDE = D + Tile<T>::PAD, P_STRIDE = STEP + Tile<T>::PAD;
    SHARED_BYTES(memory);
    int rows = 16 * warps(), blocks = (s.queries + rows - 1) / rows, first = blockIdx.x % blocks * rows;
    T *queries = (T *)memory, *keys = queries + rows * STRIDE, *values = keys + STEP * STRIDE;
    T *probabilities = values + STEP * STRIDE + warp() * 16 * P_STRIDE, *own = queries + warp() * 16 * STRIDE;
    int problem = blockIdx.x / blocks;
    Problem p(s, problem);
    load_queries<D>(queries, STRIDE, rows, q, bias, p, first);

    float sums[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        for (int i = 0; i < 4; i++) sums[n][i] = 0;
    float largest[2] = {-INFINITE, -INFINITE}, total[2] = {0, 0};
    for (int start = 0; start < s.keys; start += STEP) {
        __syncthreads();
        load<D>(keys, STRIDE, STEP, k, bias, p, KEY, start);
        load<D>(values, STRIDE, STEP, v, bias, p, VALUE, start);
        __syncthreads();
        float scores[STEP / 8][4];
        product_of_rows<D, STEP>(scores, own, keys, STRIDE);
        float peak[2] = {largest[0], largest[1]};
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int key = start + n * 8 + lane() % 4 * 2 + i % 2;
                scores[n][i] = key < s.keys ? scores[n][i] * (scale * LOG2_E) : -INFINITE;
                peak[i / 2] = fmaxf(peak[i / 2], scores[n][i]);
            }
        float shrink[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            peak[half] = quad_max(peak[half]);
            shrink[half] = exp2f(largest[half] - peak[half]);
            largest[half] = peak[half];
            total[half] *= shrink[half];
        }
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                scores[n][i] = exp2f(scores[n][i] - peak[i / 2]);
                total[i / 2] += scores[n][i];
            }
#pragma unroll
        for (int n = 0; n < D / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums[n][i] *= shrink[i / 2];
        put(probabilities, P_STRIDE, scores);
        __syncwarp();
        add_product<D, STEP>(sums, probabilities, P_STRIDE, values, STRIDE);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int i = first + warp() * 16 + lane() / 4 + half * 8;
        float sum = quad_sum(total[half]);
        if (i >= s.queries) continue;
        if (lane() % 4 == 0) log_sums[int64(problem) * s.queries + i] = largest[half] + log2f(sum);
        int64 start = p.output(i);
        if (start < 0) continue;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                int c = n * 8 + lane() % 4 * 2 + j;
                if (c < s.dim) store(out[start + c], sums[n][half * 2 + j] / sum);
            }
    }
}

#define FORWARD(type, name, width, step)                                                                                          \
    KERNEL(attention_forward_##name##_##width,                                                                                    \
           (const type *q, const type *k, const type *v, const type *bias, type *out, float *log_sums, Shape s, float scale),     \
           attention_forward<width, step>(q, k, v, bias, out, log_sums, s, scale))
#define F32(width) FORWARD(float, f32, width, 32)
#define BF16(width) FORWARD(bf16, bf16, width, 64)

FOR_EACH_WIDTH(F32)
FOR_EACH_WIDTH(BF16)
