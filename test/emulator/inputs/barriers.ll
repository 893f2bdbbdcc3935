; Barriers of a block.
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)
declare void @llvm.nvvm.barrier.cta.sync.aligned.count(i32, i32)
declare void @llvm.nvvm.barrier.cta.arrive.aligned.count(i32, i32)
declare i32 @llvm.nvvm.barrier.cta.red.popc.aligned.all(i32, i1)

@values = internal addrspace(3) global [256 x i32] undef, align 16

; y[t] = the neighbour's value; without the barrier where `bug` is 1.
define ptx_kernel void @neighbour(ptr %y, i32 %bug) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %n = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %p = getelementptr i32, ptr addrspace(3) @values, i32 %t
  store i32 %t, ptr addrspace(3) %p, align 4
  %skip = icmp eq i32 %bug, 1
  br i1 %skip, label %read, label %wait
wait:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  br label %read
read:
  %o = add i32 %t, 33
  %m = urem i32 %o, %n
  %q = getelementptr i32, ptr addrspace(3) @values, i32 %m
  %v = load i32, ptr addrspace(3) %q, align 4
  %r = getelementptr i32, ptr %y, i32 %t
  store i32 %v, ptr %r, align 4
  ret void
}

; Warp 0 writes and only arrives at barrier 1, warp 1 waits there and reads.
define ptx_kernel void @hand_over(ptr %y, i32 %id) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = icmp ult i32 %t, 32
  br i1 %first, label %give, label %take
give:
  %p = getelementptr i32, ptr addrspace(3) @values, i32 %t
  %v = mul i32 %t, 3
  store i32 %v, ptr addrspace(3) %p, align 4
  call void @llvm.nvvm.barrier.cta.arrive.aligned.count(i32 1, i32 64)
  ret void
take:
  call void @llvm.nvvm.barrier.cta.sync.aligned.count(i32 %id, i32 64)
  %o = sub i32 %t, 32
  %q = getelementptr i32, ptr addrspace(3) @values, i32 %o
  %w = load i32, ptr addrspace(3) %q, align 4
  %r = getelementptr i32, ptr %y, i32 %o
  store i32 %w, ptr %r, align 4
  ret void
}

; y[t] = the number of threads with t % 5 == 0.
define ptx_kernel void @count_true(ptr %y) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %m = urem i32 %t, 5
  %is = icmp eq i32 %m, 0
  %n = call i32 @llvm.nvvm.barrier.cta.red.popc.aligned.all(i32 0, i1 %is)
  %r = getelementptr i32, ptr %y, i32 %t
  store i32 %n, ptr %r, align 4
  ret void
}

; Half of a warp comes to another barrier's call.
define ptx_kernel void @half_barrier(ptr %y) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %low = icmp ult i32 %t, 16
  br i1 %low, label %a, label %b
a:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  store i32 1, ptr %y, align 4
  ret void
b:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  store i32 2, ptr %y, align 4
  ret void
}
