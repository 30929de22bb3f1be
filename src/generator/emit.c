/* Functions, integers, slots and loops of the emission vocabulary; vectors are in vector.c. */
#include "emit.h"

#include "text.h"

#include <assert.h>
#include <string.h>

static LLVMTypeRef function_type(LLVMTypeRef result, LLVMTypeRef *params, unsigned n)
{
    return LLVMFunctionType(result, params, n, 0);
}

/* Without a handler of ours LLVM would print an error and end the process. */
static void diagnosed(LLVMDiagnosticInfoRef info, void *user)
{
    struct emit *e = user;
    if (LLVMGetDiagInfoSeverity(info) != LLVMDSError || e->defect[0]) return;
    char *text = LLVMGetDiagInfoDescription(info);
    struct text t = text_into(e->defect, sizeof e->defect);
    text_put(&t, "%s", text);
    LLVMDisposeMessage(text);
}

static void declare_fma(struct emit *e)
{
    unsigned id = LLVMLookupIntrinsicID("llvm.fma", strlen("llvm.fma"));
    e->fma_function = LLVMGetIntrinsicDeclaration(e->module, id, &e->vec, 1);
    e->fma_type = LLVMIntrinsicGetType(e->context, id, &e->vec, 1);
}

void emit_begin(struct emit *e, const struct cpu *cpu, int lanes)
{
    LLVMContextRef c = LLVMContextCreate();
    *e = (struct emit){.cpu = cpu, .context = c, .lanes = lanes};
    e->module = LLVMModuleCreateWithNameInContext("kiln", c);
    e->b = LLVMCreateBuilderInContext(c), e->slots = LLVMCreateBuilderInContext(c);
    e->i1 = LLVMInt1TypeInContext(c), e->i32 = LLVMInt32TypeInContext(c), e->i64 = LLVMInt64TypeInContext(c);
    e->f32 = LLVMFloatTypeInContext(c), e->ptr = LLVMPointerTypeInContext(c, 0);
    e->vec = LLVMVectorType(e->f32, (unsigned)lanes);
    declare_fma(e);
    LLVMContextSetDiagnosticHandler(c, diagnosed, e);
}

void emit_end(struct emit *e)
{
    LLVMDisposeBuilder(e->b);
    LLVMDisposeBuilder(e->slots);
    LLVMDisposeModule(e->module);
    LLVMContextDispose(e->context);
}

/* ---- functions ---- */

static void attribute(struct emit *e, value f, const char *key, const char *text)
{
    LLVMAttributeRef a =
        LLVMCreateStringAttribute(e->context, key, (unsigned)strlen(key), text, (unsigned)strlen(text));
    LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

value function_begin(struct emit *e, const char *name, const char *params)
{
    LLVMTypeRef types[8];
    unsigned n = (unsigned)strlen(params);
    for (unsigned i = 0; i < n; i++) types[i] = params[i] == 'p' ? e->ptr : e->i64;
    value f = LLVMAddFunction(e->module, name, function_type(LLVMVoidTypeInContext(e->context), types, n));
    unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", strlen("nounwind"));
    LLVMAddAttributeAtIndex(f, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(e->context, nounwind, 0));
    attribute(e, f, "prefer-vector-width", "512"); /* some tunings would split explicit 512-bit vectors */
    attribute(e, f, "tune-cpu", e->cpu->tune);
    LLVMBasicBlockRef entry = LLVMAppendBasicBlockInContext(e->context, f, "entry");
    LLVMBasicBlockRef start = LLVMAppendBasicBlockInContext(e->context, f, "start");
    LLVMPositionBuilderAtEnd(e->b, entry);
    LLVMPositionBuilderBefore(e->slots, LLVMBuildBr(e->b, start));
    LLVMPositionBuilderAtEnd(e->b, start);
    return f;
}

void function_end(struct emit *e) { LLVMBuildRetVoid(e->b); }

value param(struct emit *e, int i)
{
    return LLVMGetParam(LLVMGetBasicBlockParent(LLVMGetInsertBlock(e->b)), (unsigned)i);
}

value arg(struct emit *e, size_t offset)
{
    value index = k(e, (int64_t)offset);
    value p = LLVMBuildGEP2(e->b, LLVMInt8TypeInContext(e->context), param(e, 0), &index, 1, "");
    value v = LLVMBuildLoad2(e->b, e->ptr, p, "");
    LLVMSetAlignment(v, sizeof(void *));
    return v;
}

/* ---- integers ---- */

value k(struct emit *e, int64_t v) { return LLVMConstInt(e->i64, (unsigned long long)v, 1); }
bool known(value v) { return LLVMIsAConstantInt(v) != NULL; }

int64_t constant(value v)
{
    assert(known(v));
    return LLVMConstIntGetSExtValue(v);
}

value add(struct emit *e, value x, value y)
{
    if (known(y) && !constant(y)) return x;
    if (known(x) && !constant(x)) return y;
    return LLVMBuildNSWAdd(e->b, x, y, "");
}

value sub(struct emit *e, value x, value y)
{
    return known(y) && !constant(y) ? x : LLVMBuildNSWSub(e->b, x, y, "");
}

value mul(struct emit *e, value x, int64_t y) { return y == 1 ? x : LLVMBuildNSWMul(e->b, x, k(e, y), ""); }
value quo(struct emit *e, value x, int64_t y) { return y == 1 ? x : LLVMBuildUDiv(e->b, x, k(e, y), ""); }
value rem(struct emit *e, value x, int64_t y)
{
    return y == 1 ? k(e, 0) : LLVMBuildURem(e->b, x, k(e, y), "");
}

value least(struct emit *e, value x, value y)
{
    return choose(e, LLVMBuildICmp(e->b, LLVMIntSLT, x, y, ""), x, y);
}

value most(struct emit *e, value x, value y)
{
    return choose(e, LLVMBuildICmp(e->b, LLVMIntSGT, x, y, ""), x, y);
}

value below(struct emit *e, value x, int64_t y) { return LLVMBuildICmp(e->b, LLVMIntULT, x, k(e, y), ""); }
value both(struct emit *e, value x, value y) { return LLVMBuildAnd(e->b, x, y, ""); }

value choose(struct emit *e, value condition, value x, value y)
{
    if (known(condition)) return constant(condition) ? x : y;
    return LLVMBuildSelect(e->b, condition, x, y, "");
}

/* ---- addresses ---- */

/* Without `inbounds`: addresses may start outside the tensor, before its padding. */
value at(struct emit *e, value base, value index)
{
    if (known(index) && !constant(index)) return base;
    return LLVMBuildGEP2(e->b, e->f32, base, &index, 1, "");
}

value plus(struct emit *e, value base, int64_t index) { return at(e, base, k(e, index)); }
/* Volatile: without side effects two of them with equal operands would be merged again. */
value opaque(struct emit *e, value v)
{
    LLVMTypeRef type = LLVMTypeOf(v), f = function_type(type, &type, 1);
    value same = LLVMGetInlineAsm(f, "", 0, "=r,0", strlen("=r,0"), 1, 0, LLVMInlineAsmDialectATT, 0);
    return LLVMBuildCall2(e->b, f, same, &v, 1, "");
}

/* ---- slots ---- */

struct slot slot(struct emit *e, const char *name, value v)
{
    struct slot s = {LLVMBuildAlloca(e->slots, LLVMTypeOf(v), name), LLVMTypeOf(v)};
    set(e, s, v);
    return s;
}

value get(struct emit *e, struct slot s) { return LLVMBuildLoad2(e->b, s.type, s.p, ""); }
void set(struct emit *e, struct slot s, value v) { LLVMBuildStore(e->b, v, s.p); }

value own_memory(struct emit *e, int64_t n)
{
    value p = LLVMBuildArrayAlloca(e->slots, e->vec, k(e, n), "own");
    LLVMSetAlignment(p, (unsigned)(e->lanes * (int)sizeof(float)));
    return p;
}

/* ---- loops ---- */

static LLVMBasicBlockRef block(struct emit *e, const char *name)
{
    value f = LLVMGetBasicBlockParent(LLVMGetInsertBlock(e->b));
    return LLVMAppendBasicBlockInContext(e->context, f, name);
}

/* Makes the blocks of a loop or an if and enters its body. The body sees the counter opaque: what is derived
 * from it would take loop strength reduction up to a third of the whole compilation, for nothing where it
 * counts, since hot loops walk pointers of their own. */
static void loop_open(struct emit *e, const char *name, struct loop *l, value lo)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->b);
    l->body = block(e, name), l->after = block(e, "");
    if (known(lo) && known(l->hi))
        LLVMBuildBr(e->b, l->body);
    else
        LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, lo, l->hi, ""), l->body, l->after);
    LLVMPositionBuilderAtEnd(e->b, l->body);
    if (l->turn == TURN_ONCE) return;
    value phi = LLVMBuildPhi(e->b, e->i64, name);
    LLVMAddIncoming(phi, &lo, &before, 1);
    l->phi = phi, l->i = opaque(e, phi);
}

struct loop loop_begin(struct emit *e, const char *name, enum turn turn, value lo, value hi)
{
    struct loop l = {.i = lo, .hi = hi, .turn = turn, .open = true};
    if (known(lo) && known(hi)) {
        l.open = constant(lo) < constant(hi);
        if (l.open && constant(hi) - constant(lo) == 1) l.turn = TURN_UNROLL;
    }
    assert(turn != TURN_UNROLL || (known(lo) && known(hi)));
    e->open += l.open;
    if (l.open && l.turn != TURN_UNROLL) loop_open(e, name, &l, lo);
    return l;
}

/* The after block is moved behind the latch, so that the dumped IR reads in the order of the nest. */
static void loop_close(struct emit *e, struct loop *l)
{
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(e->b);
    if (l->turn == TURN_ONCE) {
        LLVMBuildBr(e->b, l->after);
    } else {
        value next = LLVMBuildNSWAdd(e->b, l->phi, k(e, 1), "");
        LLVMAddIncoming(l->phi, &next, &latch, 1);
        if (!LLVMGetFirstUse(l->i)) LLVMInstructionEraseFromParent(l->i);
        LLVMBuildCondBr(e->b, LLVMBuildICmp(e->b, LLVMIntSLT, next, l->hi, ""), l->body, l->after);
    }
    LLVMMoveBasicBlockAfter(l->after, latch);
    LLVMPositionBuilderAtEnd(e->b, l->after);
}

void loop_end(struct emit *e, struct loop *l)
{
    if (l->turn == TURN_UNROLL) {
        l->i = add(e, l->i, k(e, 1));
        l->open = constant(l->i) < constant(l->hi);
    } else {
        loop_close(e, l);
        l->open = false;
    }
    e->open -= !l->open;
}
