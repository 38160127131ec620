// The patches a convolution looks at, as rows: what makes it one matrix product.
//
// image, dimage: [b, 3, height, width]; patches: [b·h·w, 3·kernel²], zeros outside the image, channels in the weight's order.
// Backward: each pixel adds up its places in all patches, in a fixed order. At most 2³² numbers in patches.

#include "common.h"

struct Patches {
    int height, width, h, w, kernel, stride, padding;
};

template <class T> __device__ inline void patches(const T *image, T *out, int64 count, Patches p) {
    int row_length = 3 * p.kernel * p.kernel;
    for (Walk at(count, row_length); at.goes_on(); at.next()) {
        int64 i = at.i;
        int kx = at.c % p.kernel, ky = at.c / p.kernel % p.kernel, channel = at.c / p.kernel / p.kernel, token = uint32(i) / row_length;
        int x = token % p.w * p.stride + kx - p.padding, y = token / p.w % p.h * p.stride + ky - p.padding;
        int plane = token / p.w / p.h * 3 + channel;
        if (x >= 0 && x < p.width && y >= 0 && y < p.height)
            out[i] = image[(int64(plane) * p.height + y) * p.width + x];
        else
            zero(out[i]);
    }
}

template <class T> __device__ inline void patches_backward(const T *grad, T *dimage, int64 count, Patches p) {
    int row_length = 3 * p.kernel * p.kernel;
    for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64(gridDim.x) * blockDim.x) {
        int x = i % p.width + p.padding, y = i / p.width % p.height + p.padding;
        int64 plane = i / p.width / p.height;
        float sum = 0;
        for (int ky = y % p.stride; ky < p.kernel && ky <= y; ky += p.stride)
            for (int kx = x % p.stride; kx < p.kernel && kx <= x; kx += p.stride) {
                int row = (y - ky) / p.stride, column = (x - kx) / p.stride;
                if (row >= p.h || column >= p.w) continue;
                int64 token = (plane / 3 * p.h + row) * p.w + column;
                sum += number(grad[token * row_length + (plane % 3 * p.kernel + ky) * p.kernel + kx]);
            }
        store(dimage[i], sum);
    }
}

KERNEL(patches_f32, (const float *image, float *out, int64 count, Patches p), patches(image, out, count, p))
KERNEL(patches_bf16, (const bf16 *image, bf16 *out, int64 count, Patches p), patches(image, out, count, p))
KERNEL(patches_backward_f32, (const float *grad, float *dimage, int64 count, Patches p), patches_backward(grad, dimage, count, p))
KERNEL(patches_backward_bf16, (const bf16 *grad, bf16 *dimage, int64 count, Patches p), patches_backward(grad, dimage, count, p))
