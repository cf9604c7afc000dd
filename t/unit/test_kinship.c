/* Who belongs to a program: real children, grandchildren, strangers, and processes that have ended. */
#include "unit.h"

#include "base/fd.h"
#include "proc/kinship.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum member {
        MEMBER_MAIN,
        MEMBER_CHILD,
        MEMBER_CHILD_SESSION,  /* in a session of its own */
        MEMBER_ORPHAN,         /* its parent has ended */
        MEMBER_ORPHAN_SESSION, /* that, in a session of its own: it has left */
        MEMBER_N,
};

struct word {
        enum member member;
        pid_t pid;
};

struct program {
        pid_t pids[MEMBER_N];
        int pidfds[MEMBER_N];
        int life; /* closing it ends them all */
};

static int open_pidfd(pid_t pid) {
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Says who it is and ends when the other end of LIFE is closed. */
static void live(enum member member, int out, int life) {
        struct word word = {.member = member, .pid = getpid()};
        char nothing;

        if (write(out, &word, sizeof(word)) != sizeof(word))
                _exit(1);
        while (read(life, &nothing, 1) > 0)
                ;
        _exit(0);
}

static void bear(enum member member, int out, int life) {
        bool orphan = member == MEMBER_ORPHAN || member == MEMBER_ORPHAN_SESSION;
        pid_t pid = fork();

        if (pid > 0) {
                if (orphan)
                        waitpid(pid, NULL, 0);
                return;
        }
        if (orphan && fork() != 0)
                _exit(0);
        if (member == MEMBER_CHILD_SESSION || member == MEMBER_ORPHAN_SESSION)
                setsid();
        live(member, out, life);
}

static struct program start_program(void) {
        struct program program;
        int out[2], life[2];

        assert_int_equal(pipe(out), 0);
        assert_int_equal(pipe(life), 0);
        if (fork() == 0) {
                close(life[1]);
                setsid();
                for (enum member member = MEMBER_CHILD; member < MEMBER_N; member++)
                        bear(member, out[1], life[0]);
                live(MEMBER_MAIN, out[1], life[0]);
        }
        close(out[1]);
        close(life[0]);
        for (size_t i = 0; i < MEMBER_N; i++) {
                struct word word;

                assert_int_equal(read(out[0], &word, sizeof(word)), sizeof(word));
                program.pids[word.member] = word.pid;
                program.pidfds[word.member] = open_pidfd(word.pid);
                assert_yes(program.pidfds[word.member] >= 0);
        }
        close(out[0]);
        program.life = life[1];
        return program;
}

static void stop_program(struct program *program) {
        close(program->life);
        while (waitpid(-1, NULL, 0) > 0)
                ;
        for (size_t i = 0; i < MEMBER_N; i++)
                close(program->pidfds[i]);
}

static struct kinship_family family_of(const struct program *program, enum member main) {
        return (struct kinship_family){
                .main = program->pids[main],
                .main_pidfd = program->pidfds[main],
                .sessions = {getsid(program->pids[main])},
        };
}

static void check(const struct kinship_family *family, const struct program *program, enum member member,
                  enum kinship expected) {
        assert_int_equal(kinship_find(family, program->pids[member], program->pidfds[member]), expected);
}

static void test_living(void **state UNUSED) {
        struct program program = start_program(), other = start_program();
        const struct kinship_family family = family_of(&program, MEMBER_MAIN);
        int own = open_pidfd(getpid());

        check(&family, &program, MEMBER_MAIN, KINSHIP_MEMBER);
        check(&family, &program, MEMBER_CHILD, KINSHIP_MEMBER);
        check(&family, &program, MEMBER_CHILD_SESSION, KINSHIP_MEMBER);
        check(&family, &program, MEMBER_ORPHAN, KINSHIP_MEMBER);
        check(&family, &program, MEMBER_ORPHAN_SESSION, KINSHIP_STRANGER);
        for (enum member member = 0; member < MEMBER_N; member++)
                check(&family, &other, member, KINSHIP_STRANGER);
        assert_int_equal(kinship_find(&family, getpid(), own), KINSHIP_STRANGER);
        assert_int_equal(kinship_find(&family, 0, own), KINSHIP_STRANGER);
        assert_int_equal(kinship_find(&family, 0, -EBADF), KINSHIP_STRANGER);
        close(own);
        close(other.life);
        stop_program(&program);
}

/* Where one of its children has become the main process: of a session of its own, and in that of all others. */
static void test_other_main(void **state UNUSED) {
        struct program program = start_program();
        struct kinship_family family = family_of(&program, MEMBER_CHILD_SESSION);

        check(&family, &program, MEMBER_CHILD_SESSION, KINSHIP_MEMBER);
        check(&family, &program, MEMBER_MAIN, KINSHIP_STRANGER);
        family.sessions[1] = program.pids[MEMBER_MAIN];
        check(&family, &program, MEMBER_MAIN, KINSHIP_MEMBER);
        family = family_of(&program, MEMBER_CHILD);
        check(&family, &program, MEMBER_ORPHAN, KINSHIP_MEMBER);
        check(&family, &program, MEMBER_CHILD_SESSION, KINSHIP_STRANGER);
        stop_program(&program);
}

/* Until somebody waits for it. */
static void test_ended(void **state UNUSED) {
        struct program program = start_program();
        const struct kinship_family family = family_of(&program, MEMBER_MAIN);
        static const enum member ended[] = {MEMBER_CHILD, MEMBER_CHILD_SESSION, MEMBER_ORPHAN};
        siginfo_t info;

        for (size_t i = 0; i < LENGTH_OF(ended); i++) {
                kill(program.pids[ended[i]], SIGKILL);
                /* The orphan has become ours; the children are their parent's, which does not wait. */
                if (ended[i] == MEMBER_ORPHAN)
                        assert_int_equal(waitid(P_PID, (id_t)program.pids[ended[i]], &info, WEXITED | WNOWAIT), 0);
                check(&family, &program, ended[i], KINSHIP_MEMBER);
        }
        assert_int_equal(waitid(P_PID, (id_t)program.pids[MEMBER_ORPHAN], &info, WEXITED), 0);
        check(&family, &program, MEMBER_ORPHAN, KINSHIP_GONE);
        assert_int_equal(kinship_find(&family, program.pids[MEMBER_CHILD], -EBADF), KINSHIP_GONE);
        /* Nobody belongs to what is no more, whose number may be another's. */
        kill(program.pids[MEMBER_MAIN], SIGKILL);
        assert_int_equal(waitid(P_PID, (id_t)program.pids[MEMBER_MAIN], &info, WEXITED), 0);
        check(&family, &program, MEMBER_ORPHAN_SESSION, KINSHIP_STRANGER);
        stop_program(&program);
}

/* A pid that has been used again looks like this: the number of a member, the pidfd of what had it before. */
static void test_used_again(void **state UNUSED) {
        struct program program = start_program();
        const struct kinship_family family = family_of(&program, MEMBER_MAIN);
        pid_t gone = fork();
        int pidfd;

        if (gone == 0)
                _exit(0);
        pidfd = open_pidfd(gone);
        assert_int_equal(waitpid(gone, NULL, 0), gone);
        assert_int_equal(kinship_find(&family, program.pids[MEMBER_CHILD], pidfd), KINSHIP_GONE);
        assert_int_equal(kinship_find(&(struct kinship_family){.main = family.main,
                                                               .main_pidfd = pidfd,
                                                               .sessions = {family.sessions[0]}},
                                      program.pids[MEMBER_CHILD], program.pidfds[MEMBER_CHILD]),
                         KINSHIP_STRANGER);
        close(pidfd);
        stop_program(&program);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_living),
                cmocka_unit_test(test_other_main),
                cmocka_unit_test(test_ended),
                cmocka_unit_test(test_used_again),
        };

        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        return cmocka_run_group_tests_name("kinship", tests, NULL, NULL);
}
