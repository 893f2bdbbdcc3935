; c [m, n] f32 = a [m, k] b [n, k]^T of f16: 64 threads make 32 x 8, two stages
; of 16 columns copied by cp.async. k is a multiple of 8. Bits of `bug`: 1 does
; not wait for copies, 2 leaves out the barrier before, 4 the one after use.
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.y()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3), ptr addrspace(1), i32)
declare void @llvm.nvvm.cp.async.commit.group()
declare void @llvm.nvvm.cp.async.wait.group(i32 immarg)
declare { i32, i32, i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3))
declare { i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3))
declare { float, float, float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, <2 x half>, float, float, float, float)

@tiles = external addrspace(3) global [0 x i8], align 128

; 16 bytes of row `row`, columns 16 step + 8 half on, to `to`; zeros outside.
define internal void @copy(ptr addrspace(3) %to, ptr %x, i32 %row, i32 %rows, i32 %step, i32 %half, i32 %k) {
  %s16 = mul i32 %step, 16
  %h8 = mul i32 %half, 8
  %col = add i32 %s16, %h8
  %inRow = icmp ult i32 %row, %rows
  %inCol = icmp ult i32 %col, %k
  %in = and i1 %inRow, %inCol
  %bytes = select i1 %in, i32 16, i32 0
  %rk = mul i32 %row, %k
  %o = add i32 %rk, %col
  %safe = select i1 %in, i32 %o, i32 0
  %p = getelementptr half, ptr %x, i32 %safe
  %g = addrspacecast ptr %p to ptr addrspace(1)
  call void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3) %to, ptr addrspace(1) %g, i32 %bytes)
  ret void
}

define internal ptr addrspace(3) @stage(i32 %step) {
  %s = urem i32 %step, 2
  %o = mul i32 %s, 1280
  %p = getelementptr i8, ptr addrspace(3) @tiles, i32 %o
  ret ptr addrspace(3) %p
}

; Starts the copies of a step: 32 rows of a, then 8 of b.
define internal void @load(ptr %a, ptr %b, i32 %m0, i32 %n0, i32 %m, i32 %n, i32 %k, i32 %step) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %base = call ptr addrspace(3) @stage(i32 %step)
  %r = udiv i32 %t, 2
  %h = urem i32 %t, 2
  %o = mul i32 %t, 16
  %to = getelementptr i8, ptr addrspace(3) %base, i32 %o
  %row = add i32 %m0, %r
  call void @copy(ptr addrspace(3) %to, ptr %a, i32 %row, i32 %m, i32 %step, i32 %h, i32 %k)
  %few = icmp ult i32 %t, 16
  br i1 %few, label %more, label %end
more:
  %tob = getelementptr i8, ptr addrspace(3) %to, i32 1024
  %rowb = add i32 %n0, %r
  call void @copy(ptr addrspace(3) %tob, ptr %b, i32 %rowb, i32 %n, i32 %step, i32 %h, i32 %k)
  br label %end
end:
  call void @llvm.nvvm.cp.async.commit.group()
  ret void
}

define internal void @barrier_unless(i32 %bug, i32 %bit) {
  %b = and i32 %bug, %bit
  %skip = icmp ne i32 %b, 0
  br i1 %skip, label %end, label %wait
wait:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  br label %end
end:
  ret void
}

; The warp's 16 x 8 of a step.
define internal { float, float, float, float } @multiply(i32 %step, float %c0, float %c1, float %c2, float %c3) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %w = udiv i32 %t, 32
  %l = urem i32 %t, 32
  %base = call ptr addrspace(3) @stage(i32 %step)
  %w16 = mul i32 %w, 16
  %lr = urem i32 %l, 16
  %row = add i32 %w16, %lr
  %chunk = udiv i32 %l, 16
  %ro = mul i32 %row, 32
  %co = mul i32 %chunk, 16
  %o = add i32 %ro, %co
  %p = getelementptr i8, ptr addrspace(3) %base, i32 %o
  %av = call { i32, i32, i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4.b16.p3(ptr addrspace(3) %p)
  %rb = urem i32 %l, 8
  %hb = udiv i32 %l, 8
  %cb = urem i32 %hb, 2
  %rbo = mul i32 %rb, 32
  %cbo = mul i32 %cb, 16
  %ob = add i32 %rbo, %cbo
  %ob2 = add i32 %ob, 1024
  %q = getelementptr i8, ptr addrspace(3) %base, i32 %ob2
  %bv = call { i32, i32 } @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3) %q)
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
  %r = call { float, float, float, float } @llvm.nvvm.mma.m16n8k16.row.col.f32.f32(<2 x half> %h0, <2 x half> %h1, <2 x half> %h2, <2 x half> %h3, <2 x half> %k0, <2 x half> %k1, float %c0, float %c1, float %c2, float %c3)
  ret { float, float, float, float } %r
}

define internal void @put(ptr %c, i32 %row, i32 %col, i32 %m, i32 %n, float %v) {
  %inRow = icmp ult i32 %row, %m
  %inCol = icmp ult i32 %col, %n
  %in = and i1 %inRow, %inCol
  br i1 %in, label %store, label %end
store:
  %rn = mul i32 %row, %n
  %o = add i32 %rn, %col
  %p = getelementptr float, ptr %c, i32 %o
  store float %v, ptr %p, align 4
  br label %end
end:
  ret void
}

define ptx_kernel void @gemm(ptr %a, ptr %b, ptr %c, i32 %m, i32 %n, i32 %k, i32 %bug) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %bx = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %by = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.y()
  %m0 = mul i32 %by, 32
  %n0 = mul i32 %bx, 8
  %k15 = add i32 %k, 15
  %steps = udiv i32 %k15, 16
  call void @load(ptr %a, ptr %b, i32 %m0, i32 %n0, i32 %m, i32 %n, i32 %k, i32 0)
  br label %loop
loop:
  %step = phi i32 [ 0, %entry ], [ %next, %use ]
  %c0 = phi float [ 0.0, %entry ], [ %r0, %use ]
  %c1 = phi float [ 0.0, %entry ], [ %r1, %use ]
  %c2 = phi float [ 0.0, %entry ], [ %r2, %use ]
  %c3 = phi float [ 0.0, %entry ], [ %r3, %use ]
  %next = add i32 %step, 1
  call void @load(ptr %a, ptr %b, i32 %m0, i32 %n0, i32 %m, i32 %n, i32 %k, i32 %next)
  %bit = and i32 %bug, 1
  %skip = icmp ne i32 %bit, 0
  br i1 %skip, label %use, label %wait
wait:
  call void @llvm.nvvm.cp.async.wait.group(i32 1)
  br label %use
use:
  call void @barrier_unless(i32 %bug, i32 2)
  %r = call { float, float, float, float } @multiply(i32 %step, float %c0, float %c1, float %c2, float %c3)
  %r0 = extractvalue { float, float, float, float } %r, 0
  %r1 = extractvalue { float, float, float, float } %r, 1
  %r2 = extractvalue { float, float, float, float } %r, 2
  %r3 = extractvalue { float, float, float, float } %r, 3
  call void @barrier_unless(i32 %bug, i32 4)
  %more = icmp ult i32 %next, %steps
  br i1 %more, label %loop, label %end
end:
  %w = udiv i32 %t, 32
  %l = urem i32 %t, 32
  %w16 = mul i32 %w, 16
  %g = udiv i32 %l, 4
  %tl = urem i32 %l, 4
  %t2 = mul i32 %tl, 2
  %mw = add i32 %m0, %w16
  %row = add i32 %mw, %g
  %row8 = add i32 %row, 8
  %col = add i32 %n0, %t2
  %col1 = add i32 %col, 1
  call void @put(ptr %c, i32 %row, i32 %col, i32 %m, i32 %n, float %r0)
  call void @put(ptr %c, i32 %row, i32 %col1, i32 %m, i32 %n, float %r1)
  call void @put(ptr %c, i32 %row8, i32 %col, i32 %m, i32 %n, float %r2)
  call void @put(ptr %c, i32 %row8, i32 %col1, i32 %m, i32 %n, float %r3)
  ret void
}
