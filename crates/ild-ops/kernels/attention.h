// Where attention finds its rows: plain tensors, or windows of a packed projection. The counterpart of ops/attention/source.rs.
//
// Plain: q [b, queries, heads, dim], k and v [b, keys, heads, dim]; a problem is an image and a head.
// Windows: qkv [b, height, width, 3·heads·dim]; a problem is an image, a window and a head; tokens beyond the map are `bias`
// [3·heads·dim]; with `pool` a query is the largest of 2×2 tokens of its window.
// Logarithms of sums are to base 2, so that exp2f is the only exponential.
#pragma once

#include "product.h"

#define LOG2_E 1.4426950408889634f

enum Part { QUERY, KEY, VALUE };

// In the order of ops/gpu/attention.rs. `window_height` 0 means plain.
struct Shape {
    int heads, dim, queries, keys, height, width, window_height, window_width, rows, columns, pool;
};

// The place of a problem in the batch.
struct Problem {
    Shape s;
    int image, row, column, head;

    __device__ Problem(Shape shape, int problem) : s(shape) {
        head = problem % s.heads;
        int rest = problem / s.heads;
        if (s.window_height == 0) {
            image = rest;
            row = column = 0;
            return;
        }
        column = rest % s.columns;
        row = rest / s.columns % s.rows;
        image = rest / s.columns / s.rows;
    }

    // Where row `i` of a part starts; −1 for a token beyond the map.
    __device__ int64 start(Part part, int i) const {
        if (s.window_height == 0) {
            int tokens = part == QUERY ? s.queries : s.keys;
            return ((int64(image) * tokens + i) * s.heads + head) * s.dim;
        }
        return token(part, i / s.window_width, i % s.window_width);
    }

    // Where part `part` of token (y, x) of the window starts.
    __device__ int64 token(Part part, int y, int x) const {
        y += row * s.window_height;
        x += column * s.window_width;
        if (y >= s.height || x >= s.width) return -1;
        return ((int64(image) * s.height + y) * s.width + x) * 3 * s.heads * s.dim + channel(part);
    }

    // Of the four tokens of pooled query `i`, number `corner` in PyTorch's order.
    __device__ int64 pooled(int i, int corner) const {
        int across = s.window_width / 2;
        return token(QUERY, i / across * 2 + corner / 2, i % across * 2 + corner % 2);
    }

    // Where the head's channels of a part start in a token, and in the bias.
    __device__ int channel(Part part) const { return (part * s.heads + head) * s.dim; }

    // Where row `i` of the result starts; −1 for a token beyond the map.
    __device__ int64 output(int i) const {
        if (s.window_height == 0) return start(QUERY, i);
        int step = s.pool ? 2 : 1, across = s.window_width / step;
        int y = row * (s.window_height / step) + i / across, x = column * across + i % across;
        if (y >= s.height / step || x >= s.width / step) return -1;
        return (((int64(image) * (s.height / step) + y) * (s.width / step) + x) * s.heads + head) * s.dim;
    }

    __device__ bool has_padding() const {
        return s.window_height != 0 && ((row + 1) * s.window_height > s.height || (column + 1) * s.window_width > s.width);
    }
};

// A number of a row, or of the bias where the token is beyond the map.
template <class T> __device__ inline T at(const T *data, const T *bias, int64 start, int channel, int c) {
    return start >= 0 ? data[start + c] : bias[channel + c];
}

// Copies a row of `dim` numbers by a warp, zeros up to D; eight bytes at a time where it can.
template <int D, class T> __device__ inline void copy_row(T *to, const T *from, int dim) {
    const int SOME = sizeof(two) / sizeof(T);
    if (dim % SOME == 0 && (unsigned long long)from % sizeof(two) == 0) {
        for (int c = lane() * SOME; c < D; c += 32 * SOME) *(two *)(to + c) = c < dim ? *(const two *)(from + c) : two{0, 0};
        return;
    }
    for (int c = lane(); c < D; c += 32) {
        if (c < dim)
            to[c] = from[c];
        else
            zero(to[c]);
    }
}

template <int D, class T> __device__ inline void zero_row(T *to) {
    for (int c = lane(); c < D; c += 32) zero(to[c]);
}

// Copies rows first … of keys or values into a tile of `rows` × D, zeros where there is nothing.
template <int D, class T>
__device__ inline void load(T *tile, int stride, int rows, const T *data, const T *bias, const Problem &p, Part part, int first) {
    for (int i = warp(); i < rows; i += warps()) {
        if (first + i >= p.s.keys) {
            zero_row<D>(tile + i * stride);
            continue;
        }
        int64 start = p.start(part, first + i);
        copy_row<D>(tile + i * stride, start >= 0 ? data + start : bias + p.channel(part), p.s.dim);
    }
}

// Which of the four tokens of a pooled query holds the largest number of channel c: the first of equals, NaN counts as largest.
template <class T> __device__ inline int winner(const T *data, const T *bias, const Problem &p, const int64 (&starts)[4], int c) {
    int best = 0;
    float largest = number(at(data, bias, starts[0], p.channel(QUERY), c));
    for (int corner = 1; corner < 4; corner++) {
        float challenge = number(at(data, bias, starts[corner], p.channel(QUERY), c));
        if (largest == largest && (challenge > largest || challenge != challenge)) {
            best = corner;
            largest = challenge;
        }
    }
    return best;
}

template <int D, class T>
__device__ inline void load_queries(T *tile, int stride, int rows, const T *data, const T *bias, const Problem &p, int first) {
    for (int i = warp(); i < rows; i += warps()) {
        if (first + i >= p.s.queries) {
            zero_row<D>(tile + i * stride);
        } else if (!p.s.pool) {
            int64 start = p.start(QUERY, first + i);
            copy_row<D>(tile + i * stride, start >= 0 ? data + start : bias + p.channel(QUERY), p.s.dim);
        } else {
            int64 starts[4];
            for (int corner = 0; corner < 4; corner++) starts[corner] = p.pooled(first + i, corner);
            for (int c = lane(); c < D; c += 32) {
                if (c < p.s.dim)
                    tile[i * stride + c] = at(data, bias, starts[winner(data, bias, p, starts, c)], p.channel(QUERY), c);
                else
                    zero(tile[i * stride + c]);
            }
        }
    }
}

// Copies rows of the result, or of its gradient, into a tile; zeros for tokens beyond the map.
template <int D, class T> __device__ inline void load_output(T *tile, int stride, int rows, const T *data, const Problem &p, int first) {
    for (int i = warp(); i < rows; i += warps()) {
        int64 start = first + i < p.s.queries ? p.output(first + i) : -1;
        if (start >= 0)
            copy_row<D>(tile + i * stride, data + start, p.s.dim);
        else
            zero_row<D>(tile + i * stride);
    }
}

// The kernels for each width a head is rounded up to.
#define FOR_EACH_WIDTH(make) make(32) make(64) make(80) make(96)
