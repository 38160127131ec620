// The blocks, threads and warps of emulation.h.

#include "emulation.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <ucontext.h>
#include <vector>

Coordinates threadIdx, blockIdx, blockDim, gridDim;
unsigned char *emulated_shared_memory;

namespace {

struct Entry {
    void *kernel;
    void (*call)(void *, void **);
};

std::unordered_map<std::string, Entry> &kernels() {
    static std::unordered_map<std::string, Entry> all;
    return all;
}

enum State { RUNNING, AT_WARP, AT_BLOCK, DONE };

const int MOST_THREADS = 1024, STACK = 256 << 10, GUARD = 4096;
const unsigned char MARK = 0xa5;

// A thread of the block. It is started once and then serves block after block.
struct Fiber {
    ucontext_t first;
    jmp_buf place;
    bool started = false;
    State state = DONE;
    std::vector<char> stack;
};

Fiber fibers[MOST_THREADS];
jmp_buf scheduler;
ucontext_t outside;
int current;
Entry running;
void **arguments;

// What the lanes of a warp show each other.
float shown[MOST_THREADS];
float left[MOST_THREADS / 32][16][16], right[MOST_THREADS / 32][16][8];

void wait(State where) {
    Fiber &fiber = fibers[current];
    fiber.state = where;
    if (_setjmp(fiber.place) == 0) _longjmp(scheduler, 1);
}

void serve() {
    for (;;) {
        running.call(running.kernel, arguments);
        wait(DONE);
    }
}

// Runs a thread until it waits or is done.
void resume(int thread) {
    current = thread;
    threadIdx = {unsigned(thread), 0, 0};
    Fiber &fiber = fibers[thread];
    fiber.state = RUNNING;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.place, 1);
    fiber.started = true;
    fiber.stack.resize(STACK);
    getcontext(&fiber.first);
    fiber.first.uc_stack.ss_sp = fiber.stack.data();
    fiber.first.uc_stack.ss_size = STACK;
    fiber.first.uc_link = nullptr;
    makecontext(&fiber.first, serve, 0);
    swapcontext(&outside, &fiber.first);
}

// Runs the threads of a warp until all of them wait for the block or are done.
bool run_warp(int first, int last, bool backwards) {
    for (;;) {
        int at_warp = 0, others = 0;
        for (int i = first; i < last; i++) {
            int thread = backwards ? first + last - 1 - i : i;
            if (fibers[thread].state == RUNNING) resume(thread);
            (fibers[thread].state == AT_WARP ? at_warp : others)++;
        }
        if (at_warp == 0) return true;
        if (others != 0) {
            std::fprintf(stderr, "emulation: %d lanes of a warp wait for %d that do not come\n", at_warp, others);
            return false;
        }
        for (int thread = first; thread < last; thread++) fibers[thread].state = RUNNING;
    }
}

bool run_block(bool backwards) {
    int threads = blockDim.x;
    for (int thread = 0; thread < threads; thread++) fibers[thread].state = RUNNING;
    for (;;) {
        int warps = (threads + 31) / 32, at_block = 0, done = 0;
        for (int i = 0; i < warps; i++) {
            int warp = backwards ? warps - 1 - i : i;
            if (!run_warp(warp * 32, warp * 32 + 32 < threads ? warp * 32 + 32 : threads, backwards)) return false;
        }
        for (int thread = 0; thread < threads; thread++) (fibers[thread].state == AT_BLOCK ? at_block : done)++;
        if (at_block == 0) return true;
        if (done != 0) {
            std::fprintf(stderr, "emulation: %d threads wait at __syncthreads, %d have returned\n", at_block, done);
            return false;
        }
        for (int thread = 0; thread < threads; thread++) fibers[thread].state = RUNNING;
    }
}

} // namespace

void Registered::add(const char *name, void *kernel, void (*call)(void *, void **)) { kernels()[name] = {kernel, call}; }

void __syncthreads() { wait(AT_BLOCK); }

void __syncwarp(unsigned) { wait(AT_WARP); }

float __shfl_xor_sync(unsigned, float value, int apart) {
    int me = current;
    shown[me] = value;
    wait(AT_WARP);
    float other = shown[me ^ apart];
    wait(AT_WARP);
    return other;
}

void emulated_mma(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    int me = current, warp = me / 32, g = me % 32 / 4, t = me % 4;
    for (int i = 0; i < 4; i++) {
        int row = g + i % 2 * 8, k = 2 * t + i / 2 * 8;
        left[warp][row][k] = __uint_as_float(a[i] << 16);
        left[warp][row][k + 1] = __uint_as_float(a[i] & 0xffff0000u);
    }
    for (int i = 0; i < 2; i++) {
        right[warp][2 * t + 8 * i][g] = __uint_as_float(b[i] << 16);
        right[warp][2 * t + 8 * i + 1][g] = __uint_as_float(b[i] & 0xffff0000u);
    }
    wait(AT_WARP);
    for (int i = 0; i < 4; i++) {
        int row = g + i / 2 * 8, column = 2 * t + i % 2;
        for (int k = 0; k < 16; k++) d[i] += left[warp][row][k] * right[warp][k][column];
    }
    wait(AT_WARP);
}

// Runs a kernel: 0 when it went through, 1 for an unknown name, 2 for a barrier that not all threads reach, 3 for a write
// behind the end of shared memory. `backwards` lets the threads of a block take turns from the last to the first.
extern "C" int emulate(const char *name, unsigned blocks, unsigned threads, unsigned shared_bytes, void **with, int backwards) {
    auto found = kernels().find(name);
    if (found == kernels().end() || threads > MOST_THREADS) return 1;
    running = found->second;
    arguments = with;
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    std::vector<float> memory((shared_bytes + GUARD) / 4 + 8);
    emulated_shared_memory = (unsigned char *)(((uintptr_t)memory.data() + 15) & ~uintptr_t(15));
    for (unsigned block = 0; block < blocks; block++) {
        blockIdx = {backwards ? blocks - 1 - block : block, 0, 0};
        std::memset(emulated_shared_memory, 0xff, shared_bytes); // NaN as f32 and as bf16
        std::memset(emulated_shared_memory + shared_bytes, MARK, GUARD - 32);
        if (!run_block(backwards)) return 2;
        for (int i = 0; i < GUARD - 32; i++)
            if (emulated_shared_memory[shared_bytes + i] != MARK) return 3;
    }
    return 0;
}
