#include "import/unitspec.h"

#include "base/defs.h"
#include "import/unitname.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Where a manager keeps things: of the system, and of a user by a variable, or else below the home directory. */
struct directory {
        char letter;
        const char *system;
        const char *variable;
        const char *home;
};

static const struct directory directories[] = {
        {'C', "/var/cache", "XDG_CACHE_HOME", "/.cache"},
        {'D', "/usr/share", "XDG_DATA_HOME", "/.local/share"},
        {'E', "/etc", "XDG_CONFIG_HOME", "/.config"},
        {'L', "/var/log", NULL, "/.local/state/log"},
        {'S', "/var/lib", "XDG_STATE_HOME", "/.local/state"},
        {'T', "/tmp", "TMPDIR", NULL},
        {'V', "/var/tmp", "TMPDIR", NULL},
        {'t', "/run", "XDG_RUNTIME_DIR", NULL},
};

static const char *user_home(void) {
        const char *home = getenv("HOME");
        const struct passwd *passwd;

        if (home && home[0] == '/')
                return home;
        passwd = getpwuid(getuid());
        return passwd ? passwd->pw_dir : "/";
}

static bool add_directory(const struct unitspec_scope *scope, const struct directory *directory, struct buf *ret,
                          bool *machine) {
        const char *value = scope->user && directory->variable ? getenv(directory->variable) : NULL;

        *machine = *machine || scope->user;
        if (value && value[0] == '/')
                buf_add_string(ret, value);
        else if (scope->user && directory->letter == 't')
                buf_printf(ret, "/run/user/%u", getuid());
        else if (scope->user && directory->home)
                buf_printf(ret, "%s%s", user_home(), directory->home);
        else
                buf_add_string(ret, directory->system);
        return true;
}

/* The first line of a file, as far as it is one word. */
static bool add_file_word(const char *path, struct buf *ret, const char *drop) {
        char line[256];
        FILE *file = fopen(path, "re");
        bool found = file && fgets(line, sizeof(line), file);

        if (file)
                fclose(file);
        for (const char *p = line; found && *p && *p != '\n'; p++)
                if (!strchr(drop, *p))
                        buf_add_char(ret, *p);
        return found;
}

static void add_os_release(const char *name, struct buf *ret) {
        FILE *file = fopen("/etc/os-release", "re");
        char line[512];

        while (file && fgets(line, sizeof(line), file)) {
                size_t size = strlen(name);
                char *value = line + size + 1;

                if (strncmp(line, name, size) != 0 || line[size] != '=')
                        continue;
                value[strcspn(value, "\n")] = '\0';
                for (; *value; value++)
                        if (*value != '"' && *value != '\'')
                                buf_add_char(ret, *value);
        }
        if (file)
                fclose(file);
}

static void add_architecture(const char *machine, struct buf *ret) {
        static const char *const names[][2] = {{"x86_64", "x86-64"}, {"i686", "x86"},         {"i586", "x86"},
                                               {"aarch64", "arm64"}, {"ppc64le", "ppc64-le"}, {"armv7l", "arm"}};

        for (size_t i = 0; i < LENGTH_OF(names); i++)
                if (strcmp(machine, names[i][0]) == 0)
                        machine = names[i][1];
        buf_add_string(ret, machine);
}

/* What is true of this machine. */
static bool add_machine(char letter, struct buf *ret) {
        static const char *const os_names[][2] = {{"A", "IMAGE_VERSION"}, {"B", "BUILD_ID"},
                                                  {"M", "IMAGE_ID"},      {"o", "ID"},
                                                  {"w", "VERSION_ID"},    {"W", "VARIANT_ID"}};
        struct utsname names;

        for (size_t i = 0; i < LENGTH_OF(os_names); i++)
                if (letter == os_names[i][0][0]) {
                        add_os_release(os_names[i][1], ret);
                        return true;
                }
        if (letter == 'b')
                return add_file_word("/proc/sys/kernel/random/boot_id", ret, "-");
        if (letter == 'm')
                return add_file_word("/etc/machine-id", ret, "");
        if (uname(&names) < 0)
                return false;
        if (letter == 'a')
                add_architecture(names.machine, ret);
        else if (letter == 'v')
                buf_add_string(ret, names.release);
        else
                buf_add(ret, names.nodename, letter == 'H' ? strlen(names.nodename) : strcspn(names.nodename, "."));
        return true;
}

/* What is true of the user whose manager it is: root for the system's. */
static bool add_user(const struct unitspec_scope *scope, char letter, struct buf *ret, bool *machine) {
        uid_t uid = scope->user ? getuid() : 0;
        gid_t gid = scope->user ? getgid() : 0;
        const struct passwd *passwd = getpwuid(uid);
        const struct group *group = letter == 'g' ? getgrgid(gid) : NULL;

        *machine = *machine || scope->user;
        switch (letter) {
        case 'U':
                buf_printf(ret, "%u", uid);
                return true;
        case 'G':
                buf_printf(ret, "%u", gid);
                return true;
        case 'u':
                buf_add_string(ret, scope->user && passwd ? passwd->pw_name : "root");
                return true;
        case 'g':
                buf_add_string(ret, scope->user && group ? group->gr_name : "root");
                return true;
        case 'h':
                buf_add_string(ret, scope->user ? user_home() : "/root");
                return true;
        default: /* s */
                buf_add_string(ret, scope->user && passwd && passwd->pw_shell[0] ? passwd->pw_shell : "/bin/sh");
                return true;
        }
}

/* %p, %P, %j, %J, %i, %I and %f: parts of the name. */
static bool add_name_part(const struct unitspec_scope *scope, char letter, struct buf *ret, struct buf *why) {
        AUTO(buf_deinit) struct buf part = BUF_NULL, plain = BUF_NULL;
        bool wants_instance = letter == 'i' || letter == 'I' || (letter == 'f' && strchr(scope->name, '@'));
        const char *text;

        if (wants_instance && scope->per_connection) {
                buf_printf(why, "%%%c is the number and the addresses of a connection, which nobody knows before",
                           letter);
                return false;
        }
        if (wants_instance && unitname_is_template(scope->name) && scope->keeps_instance) {
                buf_printf(ret, "%%%c", letter);
                return true;
        }
        if (wants_instance && unitname_is_template(scope->name)) {
                buf_printf(why, "%%%c is the instance of a template, and none is named", letter);
                return false;
        }
        if (wants_instance)
                unitname_instance(scope->name, &part);
        else
                unitname_prefix(scope->name, &part);
        text = buf_text(&part);
        if ((letter == 'j' || letter == 'J') && strrchr(text, '-'))
                text = strrchr(text, '-') + 1;
        if (strchr("PIJf", letter)) {
                unitname_unescape(text, &plain);
                text = buf_text(&plain);
        }
        if (letter == 'f' && text[0] != '/')
                buf_add_char(ret, '/');
        buf_add_string(ret, text);
        return true;
}

static void add_path(const struct unitspec_scope *scope, char letter, struct buf *ret) {
        const char *path = scope->path ? scope->path : "";
        const char *slash = strrchr(path, '/');

        if (letter == 'y')
                buf_add_string(ret, path);
        else
                buf_add(ret, path, slash ? (size_t)(slash - path) : 0);
}

/* %n is the whole name, %N the same without the type. */
static bool add_full_name(const struct unitspec_scope *scope, char letter, struct buf *ret, struct buf *why) {
        if (scope->per_connection) {
                buf_printf(why, "%%%c has the number and the addresses of a connection, which nobody knows before",
                           letter);
                return false;
        }
        buf_add(ret, scope->name, strlen(scope->name) - (letter == 'N' ? strlen(unitname_suffix(scope->name)) : 0));
        return true;
}

static bool add_specifier(const struct unitspec_scope *scope, char letter, struct buf *ret, bool *machine,
                          struct buf *why) {
        for (size_t i = 0; i < LENGTH_OF(directories); i++)
                if (directories[i].letter == letter)
                        return add_directory(scope, &directories[i], ret, machine);
        if (strchr("nN", letter))
                return add_full_name(scope, letter, ret, why);
        if (strchr("pPjJiIf", letter))
                return add_name_part(scope, letter, ret, why);
        if (strchr("uUgGhs", letter))
                return add_user(scope, letter, ret, machine);
        if (strchr("yY", letter)) {
                add_path(scope, letter, ret);
                return true;
        }
        if (strchr("aAbBHlmMoqvwW", letter)) {
                *machine = true;
                return add_machine(letter, ret);
        }
        if (strchr("cdrR", letter)) {
                buf_printf(why, "%%%c is a directory that systemd makes", letter);
                return false;
        }
        buf_printf(ret, "%%%c", letter); /* none: systemd leaves it as it is */
        return true;
}

bool unitspec_expand(const struct unitspec_scope *scope, const char *text, struct buf *ret, bool *machine,
                     struct buf *why) {
        for (; *text; text++) {
                if (text[0] != '%' || text[1] == '\0')
                        buf_add_char(ret, *text);
                else if (*++text == '%')
                        buf_add_char(ret, '%');
                else if (!add_specifier(scope, *text, ret, machine, why))
                        return false;
        }
        return true;
}
