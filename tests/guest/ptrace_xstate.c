/*
 * Lets user-mode-linux run on CPUs whose extended state is larger than it knows (AMX, AVX-512 …).
 *
 * It writes the floating point registers of its children with PTRACE_SETREGSET and a buffer of its
 * own size; a kernel takes the whole XSAVE area or nothing (EFAULT: xstateregs_set() in
 * arch/x86/kernel/fpu/regset.c), and the guest panics before its first program. Preloaded, this
 * fills up what the guest leaves out with what is there.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LARGEST_XSAVE_AREA = 65536 };

static long set_extended_state(pid_t pid, struct iovec *given)
{
	static char area[LARGEST_XSAVE_AREA];
	struct iovec whole = {area, sizeof area};
	void *kind = (void *)NT_X86_XSTATE;

	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, kind, &whole) != 0 ||
	    given->iov_len >= whole.iov_len)
		return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, kind, given);
	memcpy(area, given->iov_base, given->iov_len);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, kind, &whole);
}

/* The system call returns what is peeked at by the address in its last argument. */
static long peek(enum __ptrace_request request, pid_t pid, void *address)
{
	long word;
	long failed = syscall(SYS_ptrace, request, pid, address, &word);

	return failed ? failed : word;
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list rest;

	va_start(rest, request);
	pid_t pid = va_arg(rest, pid_t);
	void *address = va_arg(rest, void *);
	void *memory = va_arg(rest, void *);
	va_end(rest);

	switch (request) {
	case PTRACE_SETREGSET:
		if ((long)address == NT_X86_XSTATE)
			return set_extended_state(pid, memory);
		break;
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_PEEKUSER:
		return peek(request, pid, address);
	default:
		break;
	}
	return syscall(SYS_ptrace, request, pid, address, memory);
}
