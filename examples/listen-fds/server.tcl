#!/usr/bin/env tclsh
# A server that takes its sockets by LISTEN_FDS. Tcl cannot adopt a listening socket by itself: the few lines of C that it
# takes are compiled by critcl (Debian: critcl) with --compile, or when the server is first started. Clients of a stream
# socket are told its name; datagrams are sent back.
package require Tcl 8.6
package require critcl
critcl::tcl 8.6

critcl::ccode {
        #include <stdint.h>
        #include <string.h>
        #include <sys/socket.h>
}

# A channel that becomes readable when somebody comes to descriptor FD.
critcl::ccommand socket_channel {data interp objc objv} {
        Tcl_Channel channel;
        int fd;

        if (objc != 2 || Tcl_GetIntFromObj(interp, objv[1], &fd) != TCL_OK)
                return TCL_ERROR;
        channel = Tcl_MakeFileChannel((ClientData)(intptr_t)fd, TCL_READABLE);
        Tcl_RegisterChannel(interp, channel);
        Tcl_SetObjResult(interp, Tcl_NewStringObj(Tcl_GetChannelName(channel), -1));
        return TCL_OK;
}

# The channel of the next client of the listening socket FD, or nothing when it has left already.
critcl::ccommand socket_accept {data interp objc objv} {
        Tcl_Channel channel;
        int fd, client;

        if (objc != 2 || Tcl_GetIntFromObj(interp, objv[1], &fd) != TCL_OK)
                return TCL_ERROR;
        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
                return TCL_OK;
        channel = Tcl_MakeTcpClientChannel((ClientData)(intptr_t)client);
        Tcl_RegisterChannel(interp, channel);
        Tcl_SetObjResult(interp, Tcl_NewStringObj(Tcl_GetChannelName(channel), -1));
        return TCL_OK;
}

# Sends one datagram of the socket FD back.
critcl::ccommand socket_send_back {data interp objc objv} {
        struct sockaddr_storage peer;
        socklen_t length = sizeof(peer);
        char text[65536];
        ssize_t size;
        int fd;

        if (objc != 2 || Tcl_GetIntFromObj(interp, objv[1], &fd) != TCL_OK)
                return TCL_ERROR;
        size = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&peer, &length);
        if (size >= 0)
                sendto(fd, text, (size_t)size, 0, (struct sockaddr *)&peer, length);
        return TCL_OK;
}

# `server.tcl --compile` does it beforehand, for the user who runs it.
critcl::load
if {[lindex $argv 0] eq "--compile"} exit

proc serve_client {fd name} {
        set client [socket_accept $fd]
        if {$client eq ""} return
        catch {
                fconfigure $client -translation lf
                puts $client "$name: served by Tcl, process [pid]"
                close $client
        }
}

if {![info exists env(LISTEN_PID)] || $env(LISTEN_PID) != [pid]} {
        puts stderr "server: not socket-activated"
        exit 1
}
for {set i 0} {$i < $env(LISTEN_FDS)} {incr i} {
        set fd [expr {3 + $i}]
        set name [lindex [split $env(LISTEN_FDNAMES) :] $i]
        set action [expr {$name eq "datagrams" ? [list socket_send_back $fd] : [list serve_client $fd $name]}]
        fileevent [socket_channel $fd] readable $action
}
vwait forever
