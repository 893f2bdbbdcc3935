; Kernels of threads that do not know each other.
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
declare float @llvm.nvvm.ex2.approx.f(float)
declare float @llvm.nvvm.rcp.approx.ftz.f(float)
declare float @llvm.nvvm.tanh.approx.f32(float)
declare float @__nv_expf(float)
declare float @__nv_rsqrtf(float)

@table = addrspace(4) constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]

define internal i64 @index() {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %n = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %o = mul i32 %b, %n
  %i = add i32 %o, %t
  %w = zext i32 %i to i64
  ret i64 %w
}

; y[i] = factor x[i], i < n.
define ptx_kernel void @scale(ptr %x, ptr %y, float %factor, i64 %n) #0 {
  %i = call i64 @index()
  %in = icmp ult i64 %i, %n
  br i1 %in, label %body, label %end
body:
  %p = getelementptr float, ptr %x, i64 %i
  %q = getelementptr float, ptr %y, i64 %i
  %v = load float, ptr %p, align 4
  %s = fmul float %v, %factor
  store float %s, ptr %q, align 4
  br label %end
end:
  ret void
}

; The same without a look at n: outside where blocks are more than x needs.
define ptx_kernel void @scale_all(ptr %x, ptr %y, float %factor) {
  %i = call i64 @index()
  %p = getelementptr float, ptr %x, i64 %i
  %q = getelementptr float, ptr %y, i64 %i
  %v = load float, ptr %p, align 4
  %s = fmul float %v, %factor
  store float %s, ptr %q, align 4
  ret void
}

; y[4 i ..] = x[4 i + 1 ..] by vectors that are not aligned.
define ptx_kernel void @misaligned(ptr %x, ptr %y) {
  %i = call i64 @index()
  %p0 = getelementptr <4 x float>, ptr %x, i64 %i
  %p = getelementptr float, ptr %p0, i64 1
  %q = getelementptr <4 x float>, ptr %y, i64 %i
  %v = load <4 x float>, ptr %p, align 16
  store <4 x float> %v, ptr %q, align 16
  ret void
}

; y[4 i ..] = 2^x, exp(x), tanh(x), 1 / x + rsqrt(x) + table[i % 4].
define ptx_kernel void @math(ptr %x, ptr %y) {
  %i = call i64 @index()
  %p = getelementptr float, ptr %x, i64 %i
  %v = load float, ptr %p, align 4
  %a = call float @llvm.nvvm.ex2.approx.f(float %v)
  %b = call float @__nv_expf(float %v)
  %c = call float @llvm.nvvm.tanh.approx.f32(float %v)
  %d = call float @llvm.nvvm.rcp.approx.ftz.f(float %v)
  %e = call float @__nv_rsqrtf(float %v)
  %f = fadd float %d, %e
  %m = urem i64 %i, 4
  %tp = getelementptr float, ptr addrspace(4) @table, i64 %m
  %t = load float, ptr addrspace(4) %tp, align 4
  %g = fadd float %f, %t
  %v0 = insertelement <4 x float> poison, float %a, i32 0
  %v1 = insertelement <4 x float> %v0, float %b, i32 1
  %v2 = insertelement <4 x float> %v1, float %c, i32 2
  %v3 = insertelement <4 x float> %v2, float %g, i32 3
  %q = getelementptr <4 x float>, ptr %y, i64 %i
  store <4 x float> %v3, ptr %q, align 16
  ret void
}

; y[i] = word i of a constant of 128 bytes.
define ptx_kernel void @constants(ptr byval([32 x i32]) align 64 "nvvm.grid_constant" %c, ptr %y) {
  %i = call i64 @index()
  %p = getelementptr i32, ptr %c, i64 %i
  %v = load i32, ptr %p, align 4
  %q = getelementptr i32, ptr %y, i64 %i
  store i32 %v, ptr %q, align 4
  ret void
}

; Counts the threads; the last one of all writes how many there are to y[1].
define ptx_kernel void @count(ptr %y) {
  %before = atomicrmw add ptr %y, i32 1 seq_cst
  %n = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %g = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
  %all = mul i32 %n, %g
  %now = add i32 %before, 1
  %is = icmp eq i32 %now, %all
  br i1 %is, label %last, label %end
last:
  %q = getelementptr i32, ptr %y, i64 1
  store i32 %now, ptr %q, align 4
  br label %end
end:
  ret void
}

; Waits for ever for a word that nothing writes.
define ptx_kernel void @spin(ptr %y) {
  br label %again
again:
  %v = atomicrmw add ptr %y, i32 0 seq_cst
  %is = icmp eq i32 %v, 1
  br i1 %is, label %end, label %again
end:
  ret void
}

attributes #0 = { "nvvm.maxntid"="256" }
