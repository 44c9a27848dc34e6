// The functions of sdk.h.
#include "sdk.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bulkhead_string_t text_of(const char *text) {
  return (bulkhead_string_t){(uint8_t *)text, strlen(text)};
}

bool text_is(const bulkhead_string_t *text, const char *expected) {
  return text->len == strlen(expected) && memcmp(text->ptr, expected, text->len) == 0;
}

bool fault(bulkhead_fault_t *err, bulkhead_remedy_t remedy, const char *code, const char *message, ...) {
  char text[SDK_TEXT_MAX_BYTES];
  va_list given;
  va_start(given, message);
  vsnprintf(text, sizeof text, message, given);
  va_end(given);
  memset(err, 0, sizeof *err);
  err->remedy = remedy;
  bulkhead_string_dup(&err->code, code);
  bulkhead_string_dup(&err->message, text);
  return false;
}

void say(bulkhead_log_level_t level, const char *message, ...) {
  char text[SDK_TEXT_MAX_BYTES];
  va_list given;
  va_start(given, message);
  vsnprintf(text, sizeof text, message, given);
  va_end(given);
  bulkhead_string_t line = text_of(text);
  bulkhead_log_write(level, &line);
}

bulkhead_point_info_t point_info(const char *name, bulkhead_kind_t kind) {
  bulkhead_point_info_t info;
  memset(&info, 0, sizeof info);
  info.name = text_of(name);
  info.kind = kind;
  return info;
}

static bulkhead_reading_t good(bulkhead_point_t point, uint8_t tag) {
  bulkhead_reading_t reading;
  memset(&reading, 0, sizeof reading);
  reading.point = point;
  reading.status = STATUS_GOOD;
  reading.value.is_some = true;
  reading.value.val.tag = tag;
  return reading;
}

bulkhead_reading_t reading_real(bulkhead_point_t point, double value) {
  if (!isfinite(value)) {
    return reading_bad(point, isnan(value) ? STATUS_BAD_NO_DATA : STATUS_BAD_OUT_OF_RANGE);
  }
  bulkhead_reading_t reading = good(point, BULKHEAD_VALUE_REAL);
  reading.value.val.val.real = value;
  return reading;
}

bulkhead_reading_t reading_integer(bulkhead_point_t point, int64_t value) {
  bulkhead_reading_t reading = good(point, BULKHEAD_VALUE_INTEGER);
  reading.value.val.val.integer = value;
  return reading;
}

bulkhead_reading_t reading_boolean(bulkhead_point_t point, bool value) {
  bulkhead_reading_t reading = good(point, BULKHEAD_VALUE_BOOLEAN);
  reading.value.val.val.boolean = value;
  return reading;
}

bulkhead_reading_t reading_duration(bulkhead_point_t point, int64_t nanoseconds) {
  bulkhead_reading_t reading = good(point, BULKHEAD_VALUE_DURATION);
  reading.value.val.val.duration = nanoseconds;
  return reading;
}

bulkhead_reading_t reading_text(bulkhead_point_t point, const char *text) {
  bulkhead_reading_t reading = good(point, BULKHEAD_VALUE_TEXT);
  bulkhead_string_dup(&reading.value.val.val.text, text);
  return reading;
}

bulkhead_reading_t reading_bad(bulkhead_point_t point, bulkhead_status_t status) {
  bulkhead_reading_t reading;
  memset(&reading, 0, sizeof reading);
  reading.point = point;
  reading.status = status;
  return reading;
}

// Where a reader of JSON is. The host gives an object that is JSON: what is looked for here is its plain members.
typedef struct {
  const char *at;
  const char *end;
} json_t;

static void skip_space(json_t *json) {
  while (json->at < json->end && strchr(" \t\r\n", *json->at) != NULL) {
    json->at++;
  }
}

static bool take(json_t *json, char expected) {
  skip_space(json);
  if (json->at < json->end && *json->at == expected) {
    json->at++;
    return true;
  }
  return false;
}

static bool take_word(json_t *json, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0) {
    return false;
  }
  json->at += length;
  return true;
}

static size_t utf8(unsigned code, char *into) {
  if (code < 0x80) {
    into[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    into[0] = (char)(0xc0 | code >> 6);
    into[1] = (char)(0x80 | (code & 0x3f));
    return 2;
  }
  into[0] = (char)(0xe0 | code >> 12);
  into[1] = (char)(0x80 | (code >> 6 & 0x3f));
  into[2] = (char)(0x80 | (code & 0x3f));
  return 3;
}

// One character of a text, its escape resolved; returns how many bytes it is, 0 for what is none here.
static size_t character(json_t *json, char *into) {
  if (*json->at != '\\') {
    into[0] = *json->at++;
    return 1;
  }
  if (json->end - json->at < 2) {
    return 0;
  }
  static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
  char escape = json->at[1];
  json->at += 2;
  if (escape == 'u') {
    if (json->end - json->at < 4) {
      return 0;
    }
    char digits[5] = {json->at[0], json->at[1], json->at[2], json->at[3], 0};
    json->at += 4;
    unsigned code = (unsigned)strtoul(digits, NULL, 16);
    // Halves of characters beyond 16 bits stand in no setting that is read here.
    return code >= 0xd800 && code < 0xe000 ? 0 : utf8(code, into);
  }
  for (size_t i = 0; i + 1 < sizeof escapes; i += 2) {
    if (escapes[i] == escape) {
      into[0] = escapes[i + 1];
      return 1;
    }
  }
  return 0;
}

static bool take_text(json_t *json, char *into, size_t size) {
  size_t length = 0;
  if (!take(json, '"')) {
    return false;
  }
  while (json->at < json->end && *json->at != '"') {
    char bytes[3];
    size_t count = character(json, bytes);
    if (count == 0 || length + count >= size) {
      return false;
    }
    memcpy(into + length, bytes, count);
    length += count;
  }
  into[length] = 0;
  return take(json, '"');
}

static bool take_number(json_t *json, double *into) {
  char digits[64];
  size_t length = 0;
  while (json->at < json->end && length + 1 < sizeof digits && strchr("+-.0123456789eE", *json->at) != NULL) {
    digits[length++] = *json->at++;
  }
  digits[length] = 0;
  char *end = digits;
  *into = strtod(digits, &end);
  return length > 0 && *end == 0;
}

static bool take_value(json_t *json, const setting_t *setting) {
  skip_space(json);
  switch (setting->kind) {
    case SETTING_NUMBER:
      return take_number(json, setting->value);
    case SETTING_TEXT:
      return take_text(json, setting->value, SETTING_TEXT_MAX_BYTES);
    case SETTING_BOOLEAN:
      *(bool *)setting->value = take_word(json, "true");
      return *(bool *)setting->value || take_word(json, "false");
  }
  return false;
}

static const char *const KINDS[] = {"number", "text of at most 255 bytes", "true or false"};

static bool read_member(json_t *json, const setting_t *settings, size_t count, bulkhead_fault_t *err) {
  char name[SETTING_TEXT_MAX_BYTES];
  if (!take_text(json, name, sizeof name) || !take(json, ':')) {
    return fault(err, BULKHEAD_REMEDY_RECONFIGURE, "bad-settings", "settings: expected an object of names and values");
  }
  for (size_t i = 0; i < count; i++) {
    if (strcmp(settings[i].name, name) == 0) {
      return take_value(json, &settings[i]) || fault(err, BULKHEAD_REMEDY_RECONFIGURE, "bad-settings",
                                                     "settings.%s: expected a %s", name, KINDS[settings[i].kind]);
    }
  }
  return fault(err, BULKHEAD_REMEDY_RECONFIGURE, "bad-settings", "settings.%s: unknown setting", name);
}

bool read_settings(const bulkhead_string_t *text, const setting_t *settings, size_t count, bulkhead_fault_t *err) {
  json_t json = {(const char *)text->ptr, (const char *)text->ptr + text->len};
  if (take(&json, '{') && take(&json, '}')) {
    return true;
  }
  do {
    if (!read_member(&json, settings, count, err)) {
      return false;
    }
  } while (take(&json, ','));
  return take(&json, '}') || fault(err, BULKHEAD_REMEDY_RECONFIGURE, "bad-settings", "settings: expected `,` or `}`");
}
