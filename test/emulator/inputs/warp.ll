; Operations of a warp.
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.laneid()
declare i32 @llvm.nvvm.read.ptx.sreg.lanemask.lt()
declare float @llvm.nvvm.shfl.sync.bfly.f32(i32, float, i32, i32)
declare i32 @llvm.nvvm.shfl.sync.up.i32(i32, i32, i32, i32)
declare i32 @llvm.nvvm.shfl.sync.idx.i32(i32, i32, i32, i32)
declare { i32, i1 } @llvm.nvvm.shfl.sync.down.i32p(i32, i32, i32, i32)
declare i32 @llvm.nvvm.vote.ballot.sync(i32, i1)
declare i1 @llvm.nvvm.vote.all.sync(i32, i1)
declare i1 @llvm.nvvm.vote.any.sync(i32, i1)
declare i32 @llvm.nvvm.redux.sync.add(i32, i32)
declare i32 @llvm.nvvm.redux.sync.max(i32, i32)
declare i32 @llvm.nvvm.match.any.sync.i32(i32, i32)
declare { i32, i1 } @llvm.nvvm.elect.sync(i32)
declare void @llvm.nvvm.bar.warp.sync(i32)

@exchange = internal addrspace(3) global [32 x i32] undef, align 4

define internal void @put(ptr %y, i32 %slot, i32 %v) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %o = mul i32 %slot, 32
  %i = add i32 %o, %l
  %q = getelementptr i32, ptr %y, i32 %i
  store i32 %v, ptr %q, align 4
  ret void
}

; y[slot][lane], one slot a kind of shuffle.
define ptx_kernel void @shuffles(ptr %y) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %v = add i32 %l, 100
  %f = sitofp i32 %v to float
  %x = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %f, i32 5, i32 31)
  %xi = fptosi float %x to i32
  call void @put(ptr %y, i32 0, i32 %xi)
  %u = call i32 @llvm.nvvm.shfl.sync.up.i32(i32 -1, i32 %v, i32 3, i32 0)
  call void @put(ptr %y, i32 1, i32 %u)
  %d = call { i32, i1 } @llvm.nvvm.shfl.sync.down.i32p(i32 -1, i32 %v, i32 4, i32 31)
  %dv = extractvalue { i32, i1 } %d, 0
  %dp = extractvalue { i32, i1 } %d, 1
  %dpi = zext i1 %dp to i32
  call void @put(ptr %y, i32 2, i32 %dv)
  call void @put(ptr %y, i32 3, i32 %dpi)
  %s = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 %v, i32 3, i32 4127)
  call void @put(ptr %y, i32 4, i32 %s)
  ret void
}

define ptx_kernel void @votes(ptr %y) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %r = urem i32 %l, 3
  %p = icmp eq i32 %r, 0
  %ballot = call i32 @llvm.nvvm.vote.ballot.sync(i32 -1, i1 %p)
  call void @put(ptr %y, i32 0, i32 %ballot)
  %all = call i1 @llvm.nvvm.vote.all.sync(i32 -1, i1 %p)
  %alli = zext i1 %all to i32
  call void @put(ptr %y, i32 1, i32 %alli)
  %any = call i1 @llvm.nvvm.vote.any.sync(i32 -1, i1 %p)
  %anyi = zext i1 %any to i32
  call void @put(ptr %y, i32 2, i32 %anyi)
  %sum = call i32 @llvm.nvvm.redux.sync.add(i32 %l, i32 -1)
  call void @put(ptr %y, i32 3, i32 %sum)
  %neg = sub i32 5, %l
  %max = call i32 @llvm.nvvm.redux.sync.max(i32 %neg, i32 -1)
  call void @put(ptr %y, i32 4, i32 %max)
  %group = udiv i32 %l, 8
  %match = call i32 @llvm.nvvm.match.any.sync.i32(i32 -1, i32 %group)
  call void @put(ptr %y, i32 5, i32 %match)
  %elect = call { i32, i1 } @llvm.nvvm.elect.sync(i32 -1)
  %is = extractvalue { i32, i1 } %elect, 1
  %isi = zext i1 %is to i32
  call void @put(ptr %y, i32 6, i32 %isi)
  %lt = call i32 @llvm.nvvm.read.ptx.sreg.lanemask.lt()
  call void @put(ptr %y, i32 7, i32 %lt)
  ret void
}

; Lanes of two halves come to different shuffles with the mask of all.
define ptx_kernel void @divergent(ptr %y) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %low = icmp ult i32 %l, 16
  br i1 %low, label %a, label %b
a:
  %u = call i32 @llvm.nvvm.shfl.sync.up.i32(i32 -1, i32 %l, i32 3, i32 0)
  call void @put(ptr %y, i32 0, i32 %u)
  ret void
b:
  %i = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 %l, i32 0, i32 31)
  call void @put(ptr %y, i32 0, i32 %i)
  ret void
}

; Each half has its own mask: allowed.
define ptx_kernel void @halves(ptr %y) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %low = icmp ult i32 %l, 16
  br i1 %low, label %a, label %b
a:
  %s = call i32 @llvm.nvvm.redux.sync.add(i32 %l, i32 65535)
  call void @put(ptr %y, i32 0, i32 %s)
  ret void
b:
  %t = call i32 @llvm.nvvm.redux.sync.max(i32 %l, i32 -65536)
  call void @put(ptr %y, i32 0, i32 %t)
  ret void
}

; The lower half has ended when the upper one asks for its values.
define ptx_kernel void @ended(ptr %y) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %low = icmp ult i32 %l, 16
  br i1 %low, label %a, label %b
a:
  ret void
b:
  %f = sitofp i32 %l to float
  %x = call float @llvm.nvvm.shfl.sync.bfly.f32(i32 -1, float %f, i32 16, i32 31)
  %xi = fptosi float %x to i32
  call void @put(ptr %y, i32 0, i32 %xi)
  ret void
}

; Lanes pass values by shared memory, with or without bar.warp.sync.
define ptx_kernel void @exchange_lanes(ptr %y, i32 %sync) {
  %l = call i32 @llvm.nvvm.read.ptx.sreg.laneid()
  %p = getelementptr i32, ptr addrspace(3) @exchange, i32 %l
  store i32 %l, ptr addrspace(3) %p, align 4
  %has = icmp ne i32 %sync, 0
  br i1 %has, label %wait, label %read
wait:
  call void @llvm.nvvm.bar.warp.sync(i32 -1)
  br label %read
read:
  %other = xor i32 %l, 1
  %q = getelementptr i32, ptr addrspace(3) @exchange, i32 %other
  %v = load i32, ptr addrspace(3) %q, align 4
  call void @put(ptr %y, i32 0, i32 %v)
  ret void
}
