// The same in C++: what Kiln hands out is released by smart pointers, and its errors are thrown.
#include <kiln.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

struct release {
    void operator()(struct kiln *k) const { kiln_destroy(k); }
    void operator()(struct kiln_plan *plan) const { kiln_plan_release(plan); }
};

struct error : kiln_error {
    void check(enum kiln_status status) const
    {
        if (status != KILN_STATUS_OK) throw std::runtime_error(text);
    }
};

static bool filter()
{
    error e;
    struct kiln_conv conv;
    e.check(kiln_conv_parse(&conv, "conv ic1 iw8 oc1 kw3 pw1 f32 nhwc", &e));
    struct kiln *made = nullptr;
    e.check(kiln_create(&made, nullptr, &e));
    const std::unique_ptr<struct kiln, release> k(made);
    struct kiln_plan *compiled = nullptr;
    e.check(kiln_compile(k.get(), &conv, nullptr, &compiled, &e));
    const std::unique_ptr<struct kiln_plan, release> plan(compiled);

    const std::vector<float> src = {0, 1, 2, 3, 4, 5, 6, 7}, weights = {1, 1, 1};
    std::vector<float> dst(src.size());
    std::vector<char> room(kiln_plan_packed_size(plan.get()) + 64);
    std::size_t left = room.size();
    void *packed = room.data();
    std::align(64, left - 64, packed, left);
    e.check(kiln_pack(plan.get(), weights.data(), packed, &e));
    struct kiln_args args = {};
    args.src = src.data();
    args.weights = packed;
    args.dst = dst.data();
    e.check(kiln_run(plan.get(), &args, &e));
    std::printf("C++, Kiln %s: %g %g\n", kiln_version(), dst[0], dst[6]);
    return dst[0] == 1 && dst[6] == 18;
}

int main()
{
    try {
        return filter() ? 0 : 1;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
