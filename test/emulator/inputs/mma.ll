; One tile by tensor cores: a [16, 16] and b [8, 16] of 16 bits, c and d [16, 8].
declare i32 @llvm.nvvm.read.ptx.sreg.laneid()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare { i32, i32, i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3))
declare { i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3))
declare { i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.trans.b16.p3(ptr addrspace(3))
declare i32 @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x1.b16.p3(ptr addrspace(3))
declare void @llvm.nvvm.stmatrix.sync.aligned.m8n8.x1.trans.b16.p3(ptr addrspace(3), i32)
declare { float, float, float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, float, float, float, float)
declare { <2 x half>, <2 x half> } @llvm.nvvm.mma.m16n8k16.row.col.f16.f16(<2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>)
declare { float, float, float, float } @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32, i32, i32, i32, i32, i32, float, float, float, float)
declare { float, float, float, float } @llvm.nvvm.mma.m16n8k8.row.col.tf32(i32, i32, i32, i32, i32, i32, float, float, float, float)

@a = internal addrspace(3) global [512 x i8] undef, align 128
@b = internal addrspace(3) global [256 x i8] undef, align 128

; Fills @a, and @b as it lies in memory, 16 bytes a lane.
define internal void @fill(ptr %a, ptr %b) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %o = mul i32 %l, 16
  %p = getelementptr i8, ptr %a, i32 %o
  %v = load <4 x i32>, ptr %p, align 16
  %q = getelementptr i8, ptr addrspace(3) @a, i32 %o
  store <4 x i32> %v, ptr addrspace(3) %q, align 16
  %low = icmp ult i32 %l, 16
  br i1 %low, label %more, label %end
more:
  %pb = getelementptr i8, ptr %b, i32 %o
  %w = load <4 x i32>, ptr %pb, align 16
  %qb = getelementptr i8, ptr addrspace(3) @b, i32 %o
  store <4 x i32> %w, ptr addrspace(3) %qb, align 16
  br label %end
end:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  ret void
}

define internal { i32, i32, i32, i32 } @load_a() {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %row = urem i32 %l, 16
  %chunk = udiv i32 %l, 16
  %ro = mul i32 %row, 32
  %co = mul i32 %chunk, 16
  %o = add i32 %ro, %co
  %p = getelementptr i8, ptr addrspace(3) @a, i32 %o
  %r = call { i32, i32, i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3) %p)
  ret { i32, i32, i32, i32 } %r
}

; b is [8, 16], a row for each column of the product.
define internal { i32, i32 } @load_b() {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %row = urem i32 %l, 8
  %half = udiv i32 %l, 8
  %chunk = urem i32 %half, 2
  %ro = mul i32 %row, 32
  %co = mul i32 %chunk, 16
  %o = add i32 %ro, %co
  %p = getelementptr i8, ptr addrspace(3) @b, i32 %o
  %r = call { i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3) %p)
  ret { i32, i32 } %r
}

; b is [16, 8], as it stands in the product.
define internal { i32, i32 } @load_b_transposed() {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %row = urem i32 %l, 16
  %o = mul i32 %row, 16
  %p = getelementptr i8, ptr addrspace(3) @b, i32 %o
  %r = call { i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.trans.b16.p3(ptr addrspace(3) %p)
  ret { i32, i32 } %r
}

; The element of a [16, 8] that is sum i of this lane.
define internal i32 @place(i32 %i) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %g = udiv i32 %l, 4
  %t = urem i32 %l, 4
  %down = udiv i32 %i, 2
  %down8 = mul i32 %down, 8
  %row = add i32 %g, %down8
  %across = urem i32 %i, 2
  %t2 = mul i32 %t, 2
  %col = add i32 %t2, %across
  %ro = mul i32 %row, 8
  %o = add i32 %ro, %col
  ret i32 %o
}

define internal float @get(ptr %c, i32 %i) {
  %o = call i32 @place(i32 %i)
  %p = getelementptr float, ptr %c, i32 %o
  %v = load float, ptr %p, align 4
  ret float %v
}

define internal void @put(ptr %d, { float, float, float, float } %r) {
  %r0 = extractvalue { float, float, float, float } %r, 0
  %r1 = extractvalue { float, float, float, float } %r, 1
  %r2 = extractvalue { float, float, float, float } %r, 2
  %r3 = extractvalue { float, float, float, float } %r, 3
  %o0 = call i32 @place(i32 0)
  %p0 = getelementptr float, ptr %d, i32 %o0
  store float %r0, ptr %p0, align 4
  %o1 = call i32 @place(i32 1)
  %p1 = getelementptr float, ptr %d, i32 %o1
  store float %r1, ptr %p1, align 4
  %o2 = call i32 @place(i32 2)
  %p2 = getelementptr float, ptr %d, i32 %o2
  store float %r2, ptr %p2, align 4
  %o3 = call i32 @place(i32 3)
  %p3 = getelementptr float, ptr %d, i32 %o3
  store float %r3, ptr %p3, align 4
  ret void
}

define internal void @half_tile({ i32, i32 } %bv, ptr %c, ptr %d) {
  %av = call { i32, i32, i32, i32 } @load_a()
  %a0 = extractvalue { i32, i32, i32, i32 } %av, 0
  %a1 = extractvalue { i32, i32, i32, i32 } %av, 1
  %a2 = extractvalue { i32, i32, i32, i32 } %av, 2
  %a3 = extractvalue { i32, i32, i32, i32 } %av, 3
  %h0 = bitcast i32 %a0 to <2 x half>
  %h1 = bitcast i32 %a1 to <2 x half>
  %h2 = bitcast i32 %a2 to <2 x half>
  %h3 = bitcast i32 %a3 to <2 x half>
  %b0 = extractvalue { i32, i32 } %bv, 0
  %b1 = extractvalue { i32, i32 } %bv, 1
  %k0 = bitcast i32 %b0 to <2 x half>
  %k1 = bitcast i32 %b1 to <2 x half>
  %c0 = call float @get(ptr %c, i32 0)
  %c1 = call float @get(ptr %c, i32 1)
  %c2 = call float @get(ptr %c, i32 2)
  %c3 = call float @get(ptr %c, i32 3)
  %r = call { float, float, float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half> %h0, <2 x half> %h1, <2 x half> %h2, <2 x half> %h3, <2 x half> %k0, <2 x half> %k1, float %c0, float %c1, float %c2, float %c3)
  call void @put(ptr %d, { float, float, float, float } %r)
  ret void
}

define ptx_kernel void @half(ptr %a, ptr %b, ptr %c, ptr %d) {
  call void @fill(ptr %a, ptr %b)
  %bv = call { i32, i32 } @load_b()
  call void @half_tile({ i32, i32 } %bv, ptr %c, ptr %d)
  ret void
}

define ptx_kernel void @half_transposed(ptr %a, ptr %b, ptr %c, ptr %d) {
  call void @fill(ptr %a, ptr %b)
  %bv = call { i32, i32 } @load_b_transposed()
  call void @half_tile({ i32, i32 } %bv, ptr %c, ptr %d)
  ret void
}

define ptx_kernel void @brain(ptr %a, ptr %b, ptr %c, ptr %d) {
  call void @fill(ptr %a, ptr %b)
  %av = call { i32, i32, i32, i32 } @load_a()
  %bv = call { i32, i32 } @load_b()
  %a0 = extractvalue { i32, i32, i32, i32 } %av, 0
  %a1 = extractvalue { i32, i32, i32, i32 } %av, 1
  %a2 = extractvalue { i32, i32, i32, i32 } %av, 2
  %a3 = extractvalue { i32, i32, i32, i32 } %av, 3
  %b0 = extractvalue { i32, i32 } %bv, 0
  %b1 = extractvalue { i32, i32 } %bv, 1
  %c0 = call float @get(ptr %c, i32 0)
  %c1 = call float @get(ptr %c, i32 1)
  %c2 = call float @get(ptr %c, i32 2)
  %c3 = call float @get(ptr %c, i32 3)
  %r = call { float, float, float, float } @llvm.nvvm.mma.m16n8k16.row.col.bf16(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, float %c0, float %c1, float %c2, float %c3)
  call void @put(ptr %d, { float, float, float, float } %r)
  ret void
}

; a [16, 8] and b [8, 8] of f32, read from memory by their fragments.
define ptx_kernel void @tf32(ptr %a, ptr %b, ptr %c, ptr %d) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %g = udiv i32 %l, 4
  %t = urem i32 %l, 4
  %row = mul i32 %g, 8
  %o0 = add i32 %row, %t
  %o1 = add i32 %o0, 64
  %o2 = add i32 %o0, 4
  %o3 = add i32 %o0, 68
  %p0 = getelementptr i32, ptr %a, i32 %o0
  %p1 = getelementptr i32, ptr %a, i32 %o1
  %p2 = getelementptr i32, ptr %a, i32 %o2
  %p3 = getelementptr i32, ptr %a, i32 %o3
  %q0 = getelementptr i32, ptr %b, i32 %o0
  %q1 = getelementptr i32, ptr %b, i32 %o2
  %a0 = load i32, ptr %p0, align 4
  %a1 = load i32, ptr %p1, align 4
  %a2 = load i32, ptr %p2, align 4
  %a3 = load i32, ptr %p3, align 4
  %b0 = load i32, ptr %q0, align 4
  %b1 = load i32, ptr %q1, align 4
  %c0 = call float @get(ptr %c, i32 0)
  %c1 = call float @get(ptr %c, i32 1)
  %c2 = call float @get(ptr %c, i32 2)
  %c3 = call float @get(ptr %c, i32 3)
  %r = call { float, float, float, float } @llvm.nvvm.mma.m16n8k8.row.col.tf32(i32 %a0, i32 %a1, i32 %a2, i32 %a3, i32 %b0, i32 %b1, float %c0, float %c1, float %c2, float %c3)
  call void @put(ptr %d, { float, float, float, float } %r)
  ret void
}

; d, 8 x 8 of 16 bits, is a's first rows of 16 bytes, transposed.
define ptx_kernel void @transpose(ptr %a, ptr %b, ptr %c, ptr %d) {
  call void @fill(ptr %a, ptr %b)
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %row = urem i32 %l, 8
  %o = mul i32 %row, 16
  %p = getelementptr i8, ptr addrspace(3) @a, i32 %o
  %v = call i32 @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x1.b16.p3(ptr addrspace(3) %p)
  %q = getelementptr i8, ptr addrspace(3) @b, i32 %o
  call void @llvm.nvvm.stmatrix.sync.aligned.m8n8.x1.trans.b16.p3(ptr addrspace(3) %q, i32 %v)
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %low = icmp ult i32 %l, 8
  br i1 %low, label %copy, label %end
copy:
  %w = load <4 x i32>, ptr addrspace(3) %q, align 16
  %to = getelementptr i8, ptr %d, i32 %o
  store <4 x i32> %w, ptr %to, align 16
  br label %end
end:
  ret void
}
