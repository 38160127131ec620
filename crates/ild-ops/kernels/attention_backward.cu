// The gradients of attention. With P = 2^(s − L) found again from the kept logarithms and Δ = Σ over channels of dO∘O:
//   dV = Pᵀ·dO,   dS = P∘(dO·Vᵀ − Δ),   dQ = scale·dS·K,   dK = scale·dSᵀ·Q
// Three kernels: Δ; dQ by blocks of queries that walk over the keys; dK and dV by blocks of keys that walk over the queries.
// Scores are computed twice, and in return every number is written by one thread: no atomic sums, the same result each time.
// The gradient of keys and values beyond the map goes to the bias: one row of `padding` per block, added up by column_sum.
// (Queries beyond the map have none: what they see is cut off.)

#include "attention.h"

// Δ: [problems, queries]; a warp per query.
template <class T> __device__ inline void attention_delta(const T *out, const T *grad, float *deltas, int64 count, Shape s) {
    int64 i = int64(blockIdx.x) * warps() + warp();
    if (i >= count) return;
    int64 start = Problem(s, i / s.queries).output(i % s.queries);
    float sum = 0;
    if (start >= 0)
        for (int c = lane(); c < s.dim; c += 32) sum += number(out[start + c]) * number(grad[start + c]);
    sum = warp_sum(sum);
    if (lane() == 0) deltas[i] = sum;
}

template <int D, int STEP, class T>
__device__ inline void attention_queries(const T *q, const T *k, const T *v, const T *bias, const T *grad, const float *log_sums,
                                         const float *deltas, T *dq, Shape s, float scale) {
    const int STRIDE = D + Tile<T>::PAD, P_STRIDE = STEP + Tile<T>::PAD;
    SHARED_BYTES(memory);
    int rows = 16 * warps(), blocks = (s.queries + rows - 1) / rows, first = blockIdx.x % blocks * rows;
    T *queries = (T *)memory, *grads = queries + rows * STRIDE, *keys = grads + rows * STRIDE, *values = keys + STEP * STRIDE;
    T *slopes = values + STEP * STRIDE + warp() * 16 * P_STRIDE;
    T *own_queries = queries + warp() * 16 * STRIDE, *own_grads = grads + warp() * 16 * STRIDE;
    int problem = blockIdx.x / blocks;
    Problem p(s, problem);
    load_queries<D>(queries, STRIDE, rows, q, bias, p, first);
    load_output<D>(grads, STRIDE, rows, grad, p, first);
    float log_sum[2], delta[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int i = first + warp() * 16 + lane() / 4 + half * 8;
        log_sum[half] = i < s.queries ? log_sums[int64(problem) * s.queries + i] : INFINITE;
        delta[half] = i < s.queries ? deltas[int64(problem) * s.queries + i] : 0;
    }
    float sums[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        for (int i = 0; i < 4; i++) sums[n][i] = 0;
    for (int start = 0; start < s.keys; start += STEP) {
        __syncthreads();
        load<D>(keys, STRIDE, STEP, k, bias, p, KEY, start);
        load<D>(values, STRIDE, STEP, v, bias, p, VALUE, start);
        __syncthreads();
        float scores[STEP / 8][4], ahead[STEP / 8][4];
        product_of_rows<D, STEP>(scores, own_queries, keys, STRIDE);
        product_of_rows<D, STEP>(ahead, own_grads, values, STRIDE);
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int key = start + n * 8 + lane() % 4 * 2 + i % 2;
                float probability = key < s.keys ? exp2f(scores[n][i] * (scale * LOG2_E) - log_sum[i / 2]) : 0.0f;
                scores[n][i] = probability * (ahead[n][i] - delta[i / 2]);
            }
        put(slopes, P_STRIDE, scores);
        __syncwarp();
        add_product<D, STEP>(sums, slopes, P_STRIDE, keys, STRIDE);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int i = first + warp() * 16 + lane() / 4 + half * 8;
        if (i >= s.queries) continue;
        int64 starts[4];
        for (int corner = 0; corner < 4; corner++) starts[corner] = s.pool ? p.pooled(i, corner) : p.start(QUERY, i);
#pragma unroll
        for (int n = 0; n < D / 8; n++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                int c = n * 8 + lane() % 4 * 2 + j;
                if (c >= s.dim) continue;
                float gradient = sums[n][half * 2 + j] * scale;
                if (!s.pool) {
                    if (starts[0] >= 0) store(dq[starts[0] + c], gradient);
                    continue;
                }
                int best = winner(q, bias, p, starts, c);
                for (int corner = 0; corner < 4; corner++)
                    if (starts[corner] >= 0) store(dq[starts[corner] + c], corner == best ? gradient : 0.0f);
            }
    }
}

// Writes the gradient of a block of keys or values; adds up that of tokens beyond the map. `stage`: [rows][D].
template <int D, class T>
__device__ inline void write_rows(T *to, float *padding, float *stage, const float (&sums)[D / 8][4], float scale, const Problem &p, Part part,
                                  int first, int rows) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = warp() * 16 + lane() / 4 + half * 8, i = first + row;
        int64 start = i < p.s.keys ? p.start(part, i) : -1;
#pragma unroll
        for (int n = 0; n < D / 8; n++)
#pragma unroll
            for (int j = 0; j < 2; j++) {
                int c = n * 8 + lane() % 4 * 2 + j;
                float gradient = sums[n][half * 2 + j] * scale;
                if (start >= 0 && c < p.s.dim) store(to[start + c], gradient);
                if (p.has_padding()) stage[row * D + c] = i < p.s.keys && start < 0 ? gradient : 0.0f;
            }
    }
    if (!p.has_padding()) return;
    __syncthreads();
    for (int c = threadIdx.x; c < p.s.dim; c += blockDim.x) {
        float sum = 0;
        for (int row = 0; row < rows; row++) sum += stage[row * D + c];
        padding[p.channel(part) + c] = sum;
    }
    __syncthreads();
}

template <int D, int STEP, class T>
__device__ inline void attention_keys(const T *q, const T *k, const T *v, const T *bias, const T *grad, const float *log_sums,
                                      const float *deltas, T *dk, T *dv, float *padding, Shape s, float scale) {
    const int STRIDE = D + Tile<T>::PAD, P_STRIDE = STEP + Tile<T>::PAD;
    SHARED_BYTES(memory);
    int rows = 16 * warps(), blocks = (s.keys + rows - 1) / rows, first = blockIdx.x % blocks * rows;
    float *log_sum = (float *)memory, *delta = log_sum + STEP;
    T *keys = (T *)(delta + STEP), *values = keys + rows * STRIDE, *queries = values + rows * STRIDE, *grads = queries + STEP * STRIDE;
    T *scratch = grads + STEP * STRIDE + warp() * 16 * P_STRIDE;
    T *own_keys = keys + warp() * 16 * STRIDE, *own_values = values + warp() * 16 * STRIDE;
    int problem = blockIdx.x / blocks;
    Problem p(s, problem);
    load<D>(keys, STRIDE, rows, k, bias, p, KEY, first);
    load<D>(values, STRIDE, rows, v, bias, p, VALUE, first);
    float sums_k[D / 8][4], sums_v[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; n++)
        for (int i = 0; i < 4; i++) sums_k[n][i] = sums_v[n][i] = 0;
    for (int start = 0; start < s.queries; start += STEP) {
        __syncthreads();
        load_queries<D>(queries, STRIDE, STEP, q, bias, p, start);
        load_output<D>(grads, STRIDE, STEP, grad, p, start);
        for (int i = threadIdx.x; i < STEP; i += blockDim.x) {
            bool there = start + i < s.queries;
            log_sum[i] = there ? log_sums[int64(problem) * s.queries + start + i] : INFINITE;
            delta[i] = there ? deltas[int64(problem) * s.queries + start + i] : 0;
        }
        __syncthreads();
        float scores[STEP / 8][4], ahead[STEP / 8][4];
        product_of_rows<D, STEP>(scores, own_keys, queries, STRIDE);
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) scores[n][i] = exp2f(scores[n][i] * (scale * LOG2_E) - log_sum[n * 8 + lane() % 4 * 2 + i % 2]);
        put(scratch, P_STRIDE, scores);
        __syncwarp();
        add_product<D, STEP>(sums_v, scratch, P_STRIDE, grads, STRIDE);
        product_of_rows<D, STEP>(ahead, own_values, grads, STRIDE);
#pragma unroll
        for (int n = 0; n < STEP / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) scores[n][i] *= ahead[n][i] - delta[n * 8 + lane() % 4 * 2 + i % 2];
        __syncwarp();
        put(scratch, P_STRIDE, scores);
        __syncwarp();
        add_product<D, STEP>(sums_k, scratch, P_STRIDE, queries, STRIDE);
    }
    __syncthreads();
    // One row of 3·heads·dim for each window and block of its keys; the heads of a window share it.
    float *own_padding = padding + (int64(problem / s.heads) * blocks + blockIdx.x % blocks) * 3 * s.heads * s.dim;
    write_rows<D>(dk, own_padding, (float *)keys, sums_k, scale, p, KEY, first, rows);
    write_rows<D>(dv, own_padding, (float *)keys, sums_v, 1.0f, p, VALUE, first, rows);
}

#define DELTA(type, name)                                                                                        \
    KERNEL(attention_delta_##name, (const type *out, const type *grad, float *deltas, int64 count, Shape s),     \
           attention_delta(out, grad, deltas, count, s))
#define BACKWARD(type, name, width)                                                                              \
    KERNEL(attention_queries_##name##_##width,                                                                   \
           (const type *q, const type *k, const type *v, const type *bias, const type *grad, const float *log_sums, const float *deltas, \
            type *dq, Shape s, float scale),                                                                     \
           attention_queries<width, 32>(q, k, v, bias, grad, log_sums, deltas, dq, s, scale))                    \
    KERNEL(attention_keys_##name##_##width,                                                                      \
           (const type *q, const type *k, const type *v, const type *bias, const type *grad, const float *log_sums, const float *deltas, \
            type *dk, type *dv, float *padding, Shape s, float scale),                                           \
           attention_keys<width, 32>(q, k, v, bias, grad, log_sums, deltas, dk, dv, padding, s, scale))
#define F32(width) BACKWARD(float, f32, width)
#define BF16(width) BACKWARD(bf16, bf16, width)

DELTA(float, f32)
DELTA(bf16, bf16)
FOR_EACH_WIDTH(F32)
FOR_EACH_WIDTH(BF16)
