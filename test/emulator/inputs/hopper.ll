; mbarriers, bulk copies and wgmma of sm_90a.
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3), i32)
declare i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3))
declare i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3), i32)
declare i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3), i32)
declare void @llvm.nvvm.fence.mbarrier_init.release.cluster()
declare void @llvm.nvvm.fence.proxy.async.shared_cta()
declare void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7), ptr addrspace(3), ptr addrspace(1), i32, i16, i64, i1 immarg, i1 immarg)
declare void @llvm.nvvm.cp.async.bulk.shared.cta.to.global(ptr addrspace(1), ptr addrspace(3), i32, i64, i1 immarg)
declare void @llvm.nvvm.cp.async.bulk.commit.group()
declare void @llvm.nvvm.cp.async.bulk.wait.group(i32 immarg)
declare void @llvm.nvvm.cp.async.bulk.tensor.g2s.tile.2d(ptr addrspace(7), ptr addrspace(3), ptr, i32, i32, i16, i64, i1 immarg, i1 immarg, i32 immarg)
declare void @llvm.nvvm.cp.async.bulk.tensor.s2g.tile.2d(ptr addrspace(3), ptr, i32, i32, i64, i1 immarg)
declare void @llvm.nvvm.wgmma.fence.sync.aligned()
declare void @llvm.nvvm.wgmma.commit_group.sync.aligned()
declare void @llvm.nvvm.wgmma.wait_group.sync.aligned(i64 immarg)

@bars = internal addrspace(3) global [4 x i64] undef, align 8
@slots = internal addrspace(3) global [128 x float] undef, align 128
@a = internal addrspace(3) global [8192 x i8] undef, align 1024
@b = internal addrspace(3) global [1024 x i8] undef, align 1024

define internal void @wait(ptr addrspace(3) %bar, i32 %parity) {
  br label %again
again:
  %done = call i1 @llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta(ptr addrspace(3) %bar, i32 %parity)
  br i1 %done, label %end, label %again
end:
  ret void
}

; A ring of two slots of 64 floats: lane 0 of warp 0 copies `chunks` of them,
; warp 1 adds them up: y[lane] = sum of x[32 i + lane]. `bug` 1 does not wait
; for an empty slot, 2 not for a full one, 3 does not say that one is empty.
define ptx_kernel void @ring(ptr %x, ptr %y, i32 %chunks, i32 %bug) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %zero = icmp eq i32 %t, 0
  br i1 %zero, label %init, label %ready
init:
  %e0i = getelementptr i64, ptr addrspace(3) @bars, i32 2
  %f1i = getelementptr i64, ptr addrspace(3) @bars, i32 1
  %e1i = getelementptr i64, ptr addrspace(3) @bars, i32 3
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) @bars, i32 1)
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %f1i, i32 1)
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %e0i, i32 32)
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) %e1i, i32 32)
  call void @llvm.nvvm.fence.mbarrier_init.release.cluster()
  br label %ready
ready:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %isConsumer = icmp uge i32 %t, 32
  br i1 %isConsumer, label %consume, label %warp0
warp0:
  br i1 %zero, label %produce, label %end
produce:
  %c = phi i32 [ 0, %warp0 ], [ %cn, %copy ]
  %slot = urem i32 %c, 2
  %round = udiv i32 %c, 2
  %odd = urem i32 %round, 2
  %parity = xor i32 %odd, 1
  %full = getelementptr i64, ptr addrspace(3) @bars, i32 %slot
  %es = add i32 %slot, 2
  %empty = getelementptr i64, ptr addrspace(3) @bars, i32 %es
  %noWait = icmp eq i32 %bug, 1
  br i1 %noWait, label %copy, label %waitEmpty
waitEmpty:
  call void @wait(ptr addrspace(3) %empty, i32 %parity)
  br label %copy
copy:
  %s0 = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) %full, i32 256)
  %so = mul i32 %slot, 64
  %to = getelementptr float, ptr addrspace(3) @slots, i32 %so
  %to7 = addrspacecast ptr addrspace(3) %to to ptr
  %to77 = addrspacecast ptr %to7 to ptr addrspace(7)
  %xo = mul i32 %c, 64
  %from = getelementptr float, ptr %x, i32 %xo
  %from1 = addrspacecast ptr %from to ptr addrspace(1)
  call void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7) %to77, ptr addrspace(3) %full, ptr addrspace(1) %from1, i32 256, i16 0, i64 0, i1 false, i1 false)
  %cn = add i32 %c, 1
  %more = icmp ult i32 %cn, %chunks
  br i1 %more, label %produce, label %end
consume:
  %lane = sub i32 %t, 32
  br label %take
take:
  %d = phi i32 [ 0, %consume ], [ %dn, %next ]
  %sum = phi float [ 0.0, %consume ], [ %sum2, %next ]
  %dslot = urem i32 %d, 2
  %dround = udiv i32 %d, 2
  %dparity = urem i32 %dround, 2
  %dfull = getelementptr i64, ptr addrspace(3) @bars, i32 %dslot
  %des = add i32 %dslot, 2
  %dempty = getelementptr i64, ptr addrspace(3) @bars, i32 %des
  %noFull = icmp eq i32 %bug, 2
  br i1 %noFull, label %read, label %waitFull
waitFull:
  call void @wait(ptr addrspace(3) %dfull, i32 %dparity)
  br label %read
read:
  %do = mul i32 %dslot, 64
  %i0 = add i32 %do, %lane
  %p0 = getelementptr float, ptr addrspace(3) @slots, i32 %i0
  %i1 = add i32 %i0, 32
  %p1 = getelementptr float, ptr addrspace(3) @slots, i32 %i1
  %v0 = load float, ptr addrspace(3) %p0, align 4
  %v1 = load float, ptr addrspace(3) %p1, align 4
  %sum1 = fadd float %sum, %v0
  %sum2 = fadd float %sum1, %v1
  %keeps = icmp eq i32 %bug, 3
  br i1 %keeps, label %next, label %give
give:
  %s1 = call i64 @llvm.nvvm.mbarrier.arrive.shared(ptr addrspace(3) %dempty)
  br label %next
next:
  %dn = add i32 %d, 1
  %dmore = icmp ult i32 %dn, %chunks
  br i1 %dmore, label %take, label %write
write:
  %q = getelementptr float, ptr %y, i32 %lane
  store float %sum2, ptr %q, align 4
  br label %end
end:
  ret void
}

; y = x, 512 bytes through shared memory by bulk copies.
define ptx_kernel void @through(ptr %x, ptr %y) {
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) @bars, i32 1)
  %s = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) @bars, i32 512)
  %to = addrspacecast ptr addrspace(3) @slots to ptr
  %to7 = addrspacecast ptr %to to ptr addrspace(7)
  %from = addrspacecast ptr %x to ptr addrspace(1)
  call void @llvm.nvvm.cp.async.bulk.global.to.shared.cluster(ptr addrspace(7) %to7, ptr addrspace(3) @bars, ptr addrspace(1) %from, i32 512, i16 0, i64 0, i1 false, i1 false)
  call void @wait(ptr addrspace(3) @bars, i32 0)
  %out = addrspacecast ptr %y to ptr addrspace(1)
  call void @llvm.nvvm.cp.async.bulk.shared.cta.to.global(ptr addrspace(1) %out, ptr addrspace(3) @slots, i32 512, i64 0, i1 false)
  call void @llvm.nvvm.cp.async.bulk.commit.group()
  call void @llvm.nvvm.cp.async.bulk.wait.group(i32 0)
  ret void
}

; Copies a tile from one tensor to another, by their maps.
define ptx_kernel void @move_tile(ptr byval([128 x i8]) align 64 "nvvm.grid_constant" %from, ptr byval([128 x i8]) align 64 "nvvm.grid_constant" %to, i32 %x, i32 %y, i32 %bytes) {
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) @bars, i32 1)
  %s = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) @bars, i32 %bytes)
  %a = addrspacecast ptr addrspace(3) @a to ptr
  %a7 = addrspacecast ptr %a to ptr addrspace(7)
  call void @llvm.nvvm.cp.async.bulk.tensor.g2s.tile.2d(ptr addrspace(7) %a7, ptr addrspace(3) @bars, ptr %from, i32 %x, i32 %y, i16 0, i64 0, i1 false, i1 false, i32 0)
  call void @wait(ptr addrspace(3) @bars, i32 0)
  call void @llvm.nvvm.cp.async.bulk.tensor.s2g.tile.2d(ptr addrspace(3) @a, ptr %to, i32 0, i32 0, i64 0, i1 false)
  call void @llvm.nvvm.cp.async.bulk.commit.group()
  call void @llvm.nvvm.cp.async.bulk.wait.group(i32 0)
  ret void
}

define internal { float, float, float, float } @step(i64 %da, i64 %db, { float, float, float, float } %c) {
  %c0 = extractvalue { float, float, float, float } %c, 0
  %c1 = extractvalue { float, float, float, float } %c, 1
  %c2 = extractvalue { float, float, float, float } %c, 2
  %c3 = extractvalue { float, float, float, float } %c, 3
  %r = call { float, float, float, float } asm sideeffect "{\0A.reg .pred p;\0Asetp.ne.b32 p, $10, 0;\0Awgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {$0, $1, $2, $3}, $8, $9, p, $11,  $12, $13,  $14;\0A}\0A", "=f,=f,=f,=f,0,1,2,3,l,l,n,n,n,n,n"(float %c0, float %c1, float %c2, float %c3, i64 %da, i64 %db, i32 1, i32 1, i32 1, i32 0, i32 0)
  ret { float, float, float, float } %r
}

define internal i64 @descriptor(ptr addrspace(3) %p) {
  %i = ptrtoint ptr addrspace(3) %p to i64
  %s = lshr i64 %i, 4
  %m = and i64 %s, 16383
  %d = or i64 %m, 4611686293305360384
  ret i64 %d
}

; c [64, 8] = a [64, 64] b [8, 64]^T, both tiles by TMA, in 128-byte swizzle.
; `bug` 1: does not wait for them.
define ptx_kernel void @product(ptr byval([128 x i8]) align 64 "nvvm.grid_constant" %ma, ptr byval([128 x i8]) align 64 "nvvm.grid_constant" %mb, ptr %c, i32 %bug) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %zero = icmp eq i32 %t, 0
  br i1 %zero, label %init, label %ready
init:
  call void @llvm.nvvm.mbarrier.init.shared(ptr addrspace(3) @bars, i32 1)
  call void @llvm.nvvm.fence.proxy.async.shared_cta()
  %s = call i64 @llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta(ptr addrspace(3) @bars, i32 9216)
  %a = addrspacecast ptr addrspace(3) @a to ptr
  %a7 = addrspacecast ptr %a to ptr addrspace(7)
  %b = addrspacecast ptr addrspace(3) @b to ptr
  %b7 = addrspacecast ptr %b to ptr addrspace(7)
  call void @llvm.nvvm.cp.async.bulk.tensor.g2s.tile.2d(ptr addrspace(7) %a7, ptr addrspace(3) @bars, ptr %ma, i32 0, i32 0, i16 0, i64 0, i1 false, i1 false, i32 0)
  call void @llvm.nvvm.cp.async.bulk.tensor.g2s.tile.2d(ptr addrspace(7) %b7, ptr addrspace(3) @bars, ptr %mb, i32 0, i32 0, i16 0, i64 0, i1 false, i1 false, i32 0)
  br label %ready
ready:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %skip = icmp eq i32 %bug, 1
  br i1 %skip, label %multiply, label %wait
wait:
  call void asm sideeffect "{\0A\09.reg .pred       P1; \0A\09LAB_WAIT: \0A\09mbarrier.try_wait.parity.shared.b64 P1, [$0], $1, $2; \0A\09@P1 bra.uni DONE; \0A\09bra.uni     LAB_WAIT; \0A\09DONE: \0A\09}", "r,r,n"(ptr addrspace(3) @bars, i32 0, i32 10000000)
  br label %multiply
multiply:
  call void @llvm.nvvm.wgmma.fence.sync.aligned()
  %da0 = call i64 @descriptor(ptr addrspace(3) @a)
  %db0 = call i64 @descriptor(ptr addrspace(3) @b)
  %da1 = add i64 %da0, 2
  %db1 = add i64 %db0, 2
  %da2 = add i64 %da0, 4
  %db2 = add i64 %db0, 4
  %da3 = add i64 %da0, 6
  %db3 = add i64 %db0, 6
  %r0 = call { float, float, float, float } @step(i64 %da0, i64 %db0, { float, float, float, float } zeroinitializer)
  %r1 = call { float, float, float, float } @step(i64 %da1, i64 %db1, { float, float, float, float } %r0)
  %r2 = call { float, float, float, float } @step(i64 %da2, i64 %db2, { float, float, float, float } %r1)
  %r3 = call { float, float, float, float } @step(i64 %da3, i64 %db3, { float, float, float, float } %r2)
  call void @llvm.nvvm.wgmma.commit_group.sync.aligned()
  call void @llvm.nvvm.wgmma.wait_group.sync.aligned(i64 0)
  %w = udiv i32 %t, 32
  %l = urem i32 %t, 32
  %w16 = mul i32 %w, 16
  %g = udiv i32 %l, 4
  %tl = urem i32 %l, 4
  %row = add i32 %w16, %g
  %ro = mul i32 %row, 8
  %co = mul i32 %tl, 2
  %o = add i32 %ro, %co
  %p = getelementptr float, ptr %c, i32 %o
  %p1 = getelementptr float, ptr %p, i32 1
  %p2 = getelementptr float, ptr %p, i32 64
  %p3 = getelementptr float, ptr %p, i32 65
  %v0 = extractvalue { float, float, float, float } %r3, 0
  %v1 = extractvalue { float, float, float, float } %r3, 1
  %v2 = extractvalue { float, float, float, float } %r3, 2
  %v3 = extractvalue { float, float, float, float } %r3, 3
  store float %v0, ptr %p, align 4
  store float %v1, ptr %p1, align 4
  store float %v2, ptr %p2, align 4
  store float %v3, ptr %p3, align 4
  ret void
}

; Waits for a mbarrier that nothing made.
define ptx_kernel void @not_initialised() {
  call void @wait(ptr addrspace(3) @bars, i32 0)
  ret void
}
