/* A delegate without an accelerator, to try what inferd does when one is absent, refuses, fails, hangs or crashes.
 *
 * It takes the nodes named CLAIMED (-DCLAIMED=... for another accelerator) and fills their outputs with MARK in the first byte and zeros after it.
 * What it does is written in the file that the option "mode_file", or else $FAKE_DELEGATE_MODE_FILE, names; the file is
 * read again at each step, so that a test can take the accelerator away and give it back:
 *
 *   good (or no file)  absent  refusing  failing  crashing-load  erring  hanging  crashing
 *
 * Like an Edge TPU it belongs to one process at a time: whoever has it holds a lock on the mode file's ".held".
 *
 * The structures repeat the public C interface of TensorFlow Lite as far as it is used here (lite/core/c/common.h). They
 * fit tflite-runtime 2.14 and ai-edge-litert up to 2.3 on 64-bit machines.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define MARK 200
#ifndef CLAIMED
#define CLAIMED "edgetpu-custom-op"
#endif
#define MAX_NODES 256
#define ALLOW_DYNAMIC_TENSORS 1

enum { STATUS_OK = 0, STATUS_ERROR = 1 };

typedef struct {
  int size;
  int data[];
} Ints;

typedef struct {
  int type;
  union { uint8_t *bytes; } data;
  Ints *dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  void *delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  struct { int type; void *params; } quantization;
  void *sparsity;
  const Ints *dims_signature;
} Tensor;

typedef struct {
  Ints *inputs;
  Ints *outputs;
} Node; /* the rest is not looked at */

typedef struct Context Context;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *external;
  void *async_kernel;
  uint64_t inplace_operator;
} Registration;

typedef struct Delegate {
  void *data;
  int (*prepare)(Context *, struct Delegate *);
  void *copy_from_buffer, *copy_to_buffer, *free_buffer;
  int64_t flags;
  void *opaque_builder;
} Delegate;

struct Context {
  size_t tensors_size;
  int (*get_execution_plan)(Context *, Ints **);
  Tensor *tensors;
  void *impl;
  void *resize_tensor;
  void (*report_error)(Context *, const char *, ...);
  void *add_tensors;
  int (*get_node)(Context *, int, Node **, Registration **);
  int (*replace)(Context *, Registration, const Ints *, Delegate *);
};

static char mode_file[4096];

static void read_mode(char mode[32]) {
  const char *path = mode_file[0] ? mode_file : getenv("FAKE_DELEGATE_MODE_FILE");
  FILE *file = path ? fopen(path, "r") : NULL;
  strcpy(mode, "good");
  if (file) {
    if (fscanf(file, "%31s", mode) != 1) strcpy(mode, "good");
    fclose(file);
  }
}

static bool is(const char *wanted) {
  char mode[32];
  read_mode(mode);
  return strcmp(mode, wanted) == 0;
}

static int kernel_prepare(Context *context, Node *node) {
  (void)node;
  if (!is("failing")) return STATUS_OK;
  context->report_error(context, "the accelerator does not take this model");
  return STATUS_ERROR;
}

static int kernel_invoke(Context *context, Node *node) {
  if (is("crashing")) raise(SIGSEGV);
  while (is("hanging")) usleep(20000);
  if (is("erring") || is("absent")) {
    context->report_error(context, "the accelerator went away");
    return STATUS_ERROR;
  }
  for (int i = 0; i < node->outputs->size; i++) {
    Tensor *output = &context->tensors[node->outputs->data[i]];
    memset(output->data.bytes, 0, output->bytes);
    output->data.bytes[0] = MARK;
  }
  return STATUS_OK;
}

static int delegate_prepare(Context *context, Delegate *delegate) {
  Ints *plan;
  Ints *taken = calloc(1 + MAX_NODES, sizeof(int));
  Registration kernel = {.prepare = kernel_prepare, .invoke = kernel_invoke, .custom_name = "FakeDelegate", .version = 1};
  if (context->get_execution_plan(context, &plan) != STATUS_OK) return STATUS_ERROR;
  for (int i = 0; i < plan->size && taken->size < MAX_NODES; i++) {
    Node *node;
    Registration *registration;
    if (context->get_node(context, plan->data[i], &node, &registration) != STATUS_OK) return STATUS_ERROR;
    if (registration->custom_name && strcmp(registration->custom_name, CLAIMED) == 0)
      taken->data[taken->size++] = plan->data[i];
  }
  int status = context->replace(context, kernel, taken, delegate);
  free(taken);
  return status;
}

static int held = -1, users = 0;

static bool hold(void) {
  char path[4200];
  if (!mode_file[0] || users++ > 0) return true;
  snprintf(path, sizeof path, "%s.held", mode_file);
  held = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (held < 0 || flock(held, LOCK_EX | LOCK_NB) == 0) return true;
  close(held);
  held = -1;
  users = 0;
  return false;
}

static void let_go(void) {
  if (!mode_file[0] || --users > 0) return;
  if (held >= 0) close(held);
  held = -1;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(keys[i], "mode_file") == 0) snprintf(mode_file, sizeof mode_file, "%s", values[i]);
  if (is("crashing-load")) raise(SIGSEGV);
  if (is("absent")) return NULL; /* the genuine library says nothing either */
  if (is("refusing")) {
    report("this accelerator serves somebody else");
    return NULL;
  }
  if (!hold()) return NULL; /* another process has it; the genuine library says nothing here either */
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->prepare = delegate_prepare;
  delegate->flags = ALLOW_DYNAMIC_TENSORS; /* or the nodes are prepared before they can be taken, and nobody else can */
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
  let_go();
  free(delegate);
}

/* What libedgetpu.so.1 tells beside: its devices and its version (edgetpu_c.h). */

typedef struct {
  int type; /* 0 PCI, 1 USB */
  const char *path;
} Device;

static Device devices[] = {{1, "/sys/bus/usb/devices/2-1"}, {0, "/dev/apex_0"}};

Device *edgetpu_list_devices(size_t *count) {
  *count = is("absent") ? 0 : 2;
  return *count ? devices : NULL;
}

void edgetpu_free_devices(Device *listed) { (void)listed; }

const char *edgetpu_version(void) { return "BuildLabel(COMPILER=fake,DATE=redacted,TIME=redacted), RuntimeVersion(14)"; }
