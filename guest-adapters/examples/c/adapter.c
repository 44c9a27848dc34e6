// Example adapter: a three-phase energy meter over Modbus, in C. It does what the one in Rust beside it does.
#include "registers.h"
#include "sdk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// What is kept between calls.
static settings_t settings = {.ct_ratio = 1, .phases = 3};
static plan_t plans[PLANS];
static bulkhead_point_t demand_limit;
static bool saturated;

bool exports_adapter_start(bulkhead_string_t *json, exports_adapter_fault_t *err) {
  const setting_t known[] = {
      {"ct_ratio", SETTING_NUMBER, &settings.ct_ratio},
      {"phases", SETTING_NUMBER, &settings.phases},
  };
  bool read = read_settings(json, known, sizeof known / sizeof *known, err);
  bulkhead_string_free(json);
  if (!read) {
    return false;
  }
  if (settings.phases != 1 && settings.phases != 3) {
    return fault(err, BULKHEAD_REMEDY_RECONFIGURE, "bad-settings", "phases: %g, expected 1 or 3", settings.phases);
  }
  if (!(settings.ct_ratio > 0 && isfinite(settings.ct_ratio))) {
    return fault(err, BULKHEAD_REMEDY_RECONFIGURE, "bad-settings", "ct_ratio: expected a number above 0");
  }
  make_plans(plans, &settings);
  return declare_points(plans, &demand_limit, err);
}

bool exports_adapter_check(bulkhead_string_t *ret, exports_adapter_fault_t *err) {
  bulkhead_modbus_span_t spans[] = {{BULKHEAD_MODBUS_TABLE_INPUT_REGISTER, 0, 1},
                                    {BULKHEAD_MODBUS_TABLE_INPUT_REGISTER, 120, SERIAL_WORDS}};
  bulkhead_string_t device = text_of("device");
  bulkhead_modbus_list_span_t asked = {spans, 2};
  bulkhead_modbus_words_t answer;
  if (!bulkhead_modbus_read(&device, &asked, &answer, err)) {
    return false;
  }
  if (answer.faults.len > 0) {
    *err = take_fault(&answer, 0);
    bulkhead_modbus_words_free(&answer);
    return false;
  }
  char serial[SERIAL_MAX_BYTES], found[64 + SERIAL_MAX_BYTES];
  serial_of(answer.words.ptr + 1, serial);
  snprintf(found, sizeof found, "meter %s, status 0x%04x", serial, answer.words.ptr[0]);
  bulkhead_string_dup(ret, found);
  bulkhead_modbus_words_free(&answer);
  return true;
}

void exports_adapter_stop(void) {}

static void tell_of_saturation(uint16_t status) {
  bool now = (status & CT_SATURATED) != 0;
  if (now && !saturated) {
    say(BULKHEAD_LOG_LEVEL_WARN, "a current transformer is saturated: status 0x%04x", status);
  }
  saturated = now;
}

bool exports_poller_poll(bulkhead_string_t *group, exports_poller_list_reading_t *ret, exports_poller_fault_t *err) {
  const plan_t *plan = NULL;
  for (size_t i = 0; i < PLANS; i++) {
    plan = text_is(group, plans[i].group) ? &plans[i] : plan;
  }
  bulkhead_string_free(group);
  *ret = (exports_poller_list_reading_t){NULL, 0};
  if (plan == NULL) {
    return true;
  }
  bulkhead_modbus_span_t spans[BLOCKS_MAX];
  for (size_t i = 0; i < plan->blocks_len; i++) {
    spans[i] = plan->blocks[i].span;
  }
  bulkhead_string_t device = text_of("device");
  bulkhead_modbus_list_span_t asked = {spans, plan->blocks_len};
  bulkhead_modbus_words_t answer;
  if (!bulkhead_modbus_read(&device, &asked, &answer, err)) {
    return false;
  }
  // Where nothing could be read, the first fault is that of the whole group.
  if (answer.faults.len == plan->blocks_len) {
    *err = take_fault(&answer, 0);
    bulkhead_modbus_words_free(&answer);
    return false;
  }
  int32_t status = status_word(plan, &answer);
  if (status >= 0) {
    tell_of_saturation((uint16_t)status);
  }
  ret->ptr = calloc(READINGS_MAX, sizeof *ret->ptr);
  ret->len = readings_of(plan, &settings, &answer, status, ret->ptr);
  bulkhead_modbus_words_free(&answer);
  return true;
}

static bool write_one(const bulkhead_command_t *command, bulkhead_fault_t *err) {
  if (command->point != demand_limit) {
    return fault(err, BULKHEAD_REMEDY_REJECT, "not-writable", "only demand_limit can be written");
  }
  if (command->value.tag != BULKHEAD_VALUE_REAL) {
    return fault(err, BULKHEAD_REMEDY_REJECT, "bad-value", "demand_limit: expected a number");
  }
  uint16_t word = (uint16_t)floor(command->value.val.real * 100 + 0.5);
  bulkhead_string_t device = text_of("device");
  bulkhead_modbus_change_t change = {BULKHEAD_MODBUS_TABLE_HOLDING_REGISTER, DEMAND_ADDRESS, {&word, 1}};
  bulkhead_modbus_list_change_t changes = {&change, 1};
  bulkhead_modbus_list_result_void_fault_t done;
  bulkhead_modbus_write(&device, &changes, &done);
  bool written = done.len == 1 && !done.ptr[0].is_err;
  if (!written && done.len == 1) {
    // The fault goes on to the host, so it is not freed with the list.
    *err = done.ptr[0].val.err;
    free(done.ptr);
    return false;
  }
  bulkhead_modbus_list_result_void_fault_free(&done);
  return written || fault(err, BULKHEAD_REMEDY_RETRY, "no-result", "the host gave no result");
}

void exports_writer_write(exports_writer_list_command_t *commands, exports_writer_list_result_void_fault_t *ret) {
  ret->len = commands->len;
  ret->ptr = calloc(commands->len, sizeof *ret->ptr);
  for (size_t i = 0; i < commands->len; i++) {
    ret->ptr[i].is_err = !write_one(&commands->ptr[i], &ret->ptr[i].val.err);
  }
  exports_writer_list_command_free(commands);
}
