#!/usr/bin/env tclsh
# A worker of handoff: pass. Tcl cannot receive descriptors by itself: the few lines of C that it takes are compiled by
# critcl (Debian: critcl) with --compile, or when the worker is first started. It serves its clients in the event loop, many
# at a time: each gets to read who it is, and then its own lines back.
package require Tcl 8.6
package require critcl
critcl::tcl 8.6

critcl::ccode {
        #include <errno.h>
        #include <stdint.h>
        #include <string.h>
        #include <sys/socket.h>
}

# {CHANNEL TEXT} of the next connection; {} when another worker was faster; "end" when this one is to end.
critcl::ccommand queue_receive {data interp objc objv} {
        union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control;
        char text[16384];
        struct iovec iov = {text, sizeof(text)};
        struct msghdr message = {NULL, 0, &iov, 1, control.room, sizeof(control.room), 0};
        struct cmsghdr *header;
        Tcl_Obj *result[2];
        Tcl_Channel channel;
        ssize_t size = recvmsg(3, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        int fd;

        if (size < 0 && (errno == EAGAIN || errno == EINTR))
                return TCL_OK;
        if (size < 0) {
                Tcl_SetObjResult(interp, Tcl_NewStringObj(Tcl_PosixError(interp), -1));
                return TCL_ERROR;
        }
        header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        if (!header || header->cmsg_type != SCM_RIGHTS) {
                Tcl_SetObjResult(interp, Tcl_NewStringObj("end", -1));
                return TCL_OK;
        }
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
        channel = Tcl_MakeTcpClientChannel((ClientData)(intptr_t)fd);
        Tcl_RegisterChannel(interp, channel);
        result[0] = Tcl_NewStringObj(Tcl_GetChannelName(channel), -1);
        result[1] = Tcl_NewStringObj(text, (int)size);
        Tcl_SetObjResult(interp, Tcl_NewListObj(2, result));
        return TCL_OK;
}

# /dev/fd would open it anew, which sockets do not take: it is watched through a channel made of it.
critcl::ccommand queue_channel {data interp objc objv} {
        Tcl_Channel channel = Tcl_MakeFileChannel((ClientData)(intptr_t)3, TCL_READABLE);

        Tcl_RegisterChannel(interp, channel);
        Tcl_SetObjResult(interp, Tcl_NewStringObj(Tcl_GetChannelName(channel), -1));
        return TCL_OK;
}

# Several workers that compile at the same time are in each other's way: `worker.tcl --compile` does it beforehand.
critcl::load
if {[lindex $argv 0] eq "--compile"} exit

proc on_queue {queue} {
        set message [queue_receive]
        if {$message eq "end"} {
                # Whoever is being served is served to the end.
                fileevent $queue readable {}
                set ::ending 1
                end_if_idle
                return
        }
        if {$message eq ""} return
        lassign $message client text
        foreach line [split [string trimright $text \n] \n] {
                set about([string range $line 0 [string first = $line]-1]) [string range $line [string first = $line]+1 end]
        }
        incr ::clients
        # Whatever its bytes mean to the client, they stay what they are.
        fconfigure $client -blocking 0 -buffering line -translation lf -encoding iso8859-1
        if {[info exists about(REMOTE_ADDR)]} {
                puts $client "hello $about(REMOTE_ADDR) $about(REMOTE_PORT)"
        } else {
                puts $client "hello a local client"
        }
        fileevent $client readable [list on_client $client]
}

proc on_client {client} {
        if {[catch {gets $client line} size] || ($size < 0 && [eof $client])} {
                catch {close $client}
                incr ::clients -1
                end_if_idle
        } elseif {$size >= 0} {
                catch {puts $client $line}
        }
}

proc end_if_idle {} {
        if {$::ending && $::clients == 0} {exit 0}
}

set clients 0
set ending 0
set queue [queue_channel]
fconfigure $queue -blocking 1
fileevent $queue readable [list on_queue $queue]
vwait forever
