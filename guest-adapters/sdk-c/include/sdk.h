// What an adapter in C uses besides the interfaces themselves (bulkhead.h): faults, readings, statuses, settings.
//
// Who frees what: what a function of a role gets is its own to free (`bulkhead_string_free(group)`), and so is what a function of
// the host gives back (`bulkhead_modbus_words_free`). What a function of a role gives back must have been allocated: it is
// freed when the host has taken it. What is passed to the host is only read.
#ifndef BULKHEAD_SDK_H
#define BULKHEAD_SDK_H

#include "bulkhead.h"

// How far a value can be trusted: OPC UA StatusCodes. An open set: any number may be used.
#define STATUS_GOOD 0x00000000u
#define STATUS_UNCERTAIN 0x40000000u
#define STATUS_UNCERTAIN_LAST_USABLE_VALUE 0x40900000u
#define STATUS_UNCERTAIN_SENSOR_NOT_ACCURATE 0x40930000u
#define STATUS_BAD 0x80000000u
#define STATUS_BAD_INTERNAL_ERROR 0x80020000u
#define STATUS_BAD_COMMUNICATION_ERROR 0x80050000u
#define STATUS_BAD_DECODING_ERROR 0x80070000u
#define STATUS_BAD_TIMEOUT 0x800a0000u
#define STATUS_BAD_NODE_ID_UNKNOWN 0x80340000u
#define STATUS_BAD_OUT_OF_RANGE 0x803c0000u
#define STATUS_BAD_TYPE_MISMATCH 0x80740000u
#define STATUS_BAD_CONFIGURATION_ERROR 0x80890000u
#define STATUS_BAD_NOT_CONNECTED 0x808a0000u
#define STATUS_BAD_DEVICE_FAILURE 0x808b0000u
#define STATUS_BAD_SENSOR_FAILURE 0x808c0000u
#define STATUS_BAD_NO_DATA 0x809b0000u

// Longest message of a fault or line of the journal that these functions make, in bytes.
#define SDK_TEXT_MAX_BYTES 1024

// A text that is not copied, for what a function only reads: `bulkhead_string_t device = text_of("device");`
bulkhead_string_t text_of(const char *text);

// Whether a text of the host is this one.
bool text_is(const bulkhead_string_t *text, const char *expected);

// Fills a fault in and returns false, so that `return fault(err, …)` ends a function of a role. The message is as printf's.
bool fault(bulkhead_fault_t *err, bulkhead_remedy_t remedy, const char *code, const char *message, ...)
    __attribute__((format(printf, 4, 5)));

// Writes a line to the journal, as printf does.
void say(bulkhead_log_level_t level, const char *message, ...) __attribute__((format(printf, 2, 3)));

// A point to declare, without unit, group, limits and description: set those afterwards. The name is not copied.
bulkhead_point_info_t point_info(const char *name, bulkhead_kind_t kind);

// A Good reading. A number that is not finite is Bad and has no value.
bulkhead_reading_t reading_real(bulkhead_point_t point, double value);
bulkhead_reading_t reading_integer(bulkhead_point_t point, int64_t value);
bulkhead_reading_t reading_boolean(bulkhead_point_t point, bool value);
bulkhead_reading_t reading_duration(bulkhead_point_t point, int64_t nanoseconds);
bulkhead_reading_t reading_text(bulkhead_point_t point, const char *text);

// A reading without a value.
bulkhead_reading_t reading_bad(bulkhead_point_t point, bulkhead_status_t status);

// What a setting is.
typedef enum { SETTING_NUMBER, SETTING_TEXT, SETTING_BOOLEAN } setting_kind_t;

// A setting and where its value goes: a double, a char array of SETTING_TEXT_MAX_BYTES, or a bool. What stands there is kept
// when the setting is left out.
typedef struct {
  const char *name;
  setting_kind_t kind;
  void *value;
} setting_t;

// Longest text of a setting with its end, in bytes.
#define SETTING_TEXT_MAX_BYTES 256

// Reads settings of numbers, texts and truths. A key that is not listed, or a value of another kind, is a fault: it returns
// false, and `err` says which.
bool read_settings(const bulkhead_string_t *json, const setting_t *settings, size_t count, bulkhead_fault_t *err);

#endif
