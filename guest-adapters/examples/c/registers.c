// The meter's registers and what readings they make.
#include "registers.h"

#include <stdlib.h>
#include <string.h>

#define PHASE_MISSING 1
#define UNIT_FAILED (1 << 15)
#define EXPONENT_MAX 9

// It is counted, or comes from the meter's memory: the status word says nothing of it.
static bulkhead_status_t counted(int32_t status) {
  (void)status;
  return STATUS_GOOD;
}

// It depends on the measuring unit and the phases; nobody says how they are where the status word did not come.
static bulkhead_status_t of_the_unit(int32_t status) {
  if (status < 0) {
    return STATUS_UNCERTAIN;
  }
  if (status & UNIT_FAILED) {
    return STATUS_BAD_SENSOR_FAILURE;
  }
  return status & PHASE_MISSING ? STATUS_UNCERTAIN : STATUS_GOOD;
}

// And on the current transformers.
static bulkhead_status_t of_transformers(int32_t status) {
  bulkhead_status_t trust = of_the_unit(status);
  return trust < STATUS_BAD && status >= 0 && status & CT_SATURATED ? STATUS_UNCERTAIN_SENSOR_NOT_ACCURATE : trust;
}

// A signed number of two words, the high one first. Its smallest says that there is none.
static int32_t signed_of(const uint16_t *words) {
  return (int32_t)((uint32_t)words[0] << 16 | words[1]);
}

// A number of words, the high one first.
static uint64_t unsigned_of(const uint16_t *words, size_t count) {
  uint64_t number = 0;
  for (size_t i = 0; i < count; i++) {
    number = number << 16 | words[i];
  }
  return number;
}

static bulkhead_reading_t word(const field_t *field, const settings_t *settings, const uint16_t *words) {
  (void)settings;
  return reading_integer(field->point, words[field->at]);
}

static bulkhead_reading_t hundredths(const field_t *field, const settings_t *settings, const uint16_t *words) {
  (void)settings;
  return reading_real(field->point, words[field->at] / 100.0);
}

static bulkhead_reading_t voltage(const field_t *field, const settings_t *settings, const uint16_t *words) {
  (void)settings;
  uint16_t tenths = words[field->at];
  return tenths == 0xffff ? reading_bad(field->point, STATUS_BAD_NO_DATA) : reading_real(field->point, tenths / 10.0);
}

static bulkhead_reading_t current(const field_t *field, const settings_t *settings, const uint16_t *words) {
  int32_t number = signed_of(words + field->at);
  return number == INT32_MIN ? reading_bad(field->point, STATUS_BAD_NO_DATA)
                             : reading_real(field->point, number / 1000.0 * settings->ct_ratio);
}

// A number times a power of ten, divided where it is negative: 3 / 10 is 0.3, 3 × 0.1 is not.
static bulkhead_reading_t power(const field_t *field, const settings_t *settings, const uint16_t *words) {
  int32_t number = signed_of(words + field->at);
  int exponent = (int16_t)words[6];
  if (number == INT32_MIN) {
    return reading_bad(field->point, STATUS_BAD_NO_DATA);
  }
  if (abs(exponent) > EXPONENT_MAX) {
    return reading_bad(field->point, STATUS_BAD_DECODING_ERROR);
  }
  double ten = 1;
  for (int i = 0; i < abs(exponent); i++) {
    ten *= 10;
  }
  double watts = exponent < 0 ? number / ten : number * ten;
  return reading_real(field->point, watts * settings->ct_ratio);
}

static bulkhead_reading_t energy(const field_t *field, const settings_t *settings, const uint16_t *words) {
  return reading_real(field->point, (double)unsigned_of(words + field->at, 4) * settings->ct_ratio / 1000.0);
}

static bulkhead_reading_t seconds(const field_t *field, const settings_t *settings, const uint16_t *words) {
  (void)settings;
  return reading_duration(field->point, (int64_t)unsigned_of(words + field->at, 2) * 1000000000);
}

static bulkhead_reading_t serial(const field_t *field, const settings_t *settings, const uint16_t *words) {
  (void)settings;
  char text[SERIAL_MAX_BYTES];
  serial_of(words, text);
  return reading_text(field->point, text);
}

void serial_of(const uint16_t *words, char text[SERIAL_MAX_BYTES]) {
  size_t length = 0;
  for (size_t i = 0; i < 2 * SERIAL_WORDS; i++) {
    char character = (char)(i % 2 == 0 ? words[i / 2] >> 8 : words[i / 2] & 0xff);
    if (length > 0 || (character != 0 && character != ' ')) {
      text[length++] = character;
    }
  }
  while (length > 0 && (text[length - 1] == 0 || text[length - 1] == ' ')) {
    length--;
  }
  text[length] = 0;
}

static block_t block(uint16_t address, uint16_t count) {
  return (block_t){.span = {BULKHEAD_MODBUS_TABLE_INPUT_REGISTER, address, count}};
}

// A block with a point for each phase; `width` words a phase.
static block_t phases_block(uint16_t address, uint16_t count, const settings_t *settings, const char *const names[3],
                            size_t width, field_t field) {
  block_t made = block(address, count);
  for (size_t phase = 0; phase < (size_t)settings->phases; phase++) {
    field.name = names[phase];
    field.at = phase * width;
    made.fields[made.fields_len++] = field;
  }
  return made;
}

static block_t one(uint16_t address, uint16_t count, field_t field) {
  block_t made = block(address, count);
  made.fields[made.fields_len++] = field;
  return made;
}

void make_plans(plan_t plans[PLANS], const settings_t *settings) {
  static const char *const voltages[] = {"voltage_l1", "voltage_l2", "voltage_l3"};
  static const char *const currents[] = {"current_l1", "current_l2", "current_l3"};
  static const char *const powers[] = {"power_l1", "power_l2", "power_l3"};
  uint16_t phases = (uint16_t)settings->phases;
  field_t volts = {.unit = "V", .kind = BULKHEAD_KIND_REAL, .doubt = of_the_unit, .decode = voltage};
  field_t amperes = {.unit = "A", .kind = BULKHEAD_KIND_REAL, .doubt = of_transformers, .decode = current};
  field_t watts = {.unit = "W", .kind = BULKHEAD_KIND_REAL, .doubt = of_transformers, .decode = power};
  plans[0] = (plan_t){
      .group = "default",
      .blocks = {one(0, 1, (field_t){"status", NULL, BULKHEAD_KIND_INTEGER, 0, counted, word, 0}),
                 phases_block(16, phases, settings, voltages, 1, volts),
                 phases_block(32, 2 * phases, settings, currents, 2, amperes),
                 phases_block(48, 7, settings, powers, 2, watts),
                 one(60, 1, (field_t){"frequency", "Hz", BULKHEAD_KIND_REAL, 0, of_the_unit, hundredths, 0})},
      .blocks_len = 5};
  block_t counters = {.span = {BULKHEAD_MODBUS_TABLE_INPUT_REGISTER, 100, 10},
                      .fields = {{"energy_import", "kWh", BULKHEAD_KIND_REAL, 0, counted, energy, 0},
                                 {"energy_export", "kWh", BULKHEAD_KIND_REAL, 4, counted, energy, 0},
                                 {"operating_time", NULL, BULKHEAD_KIND_DURATION, 8, counted, seconds, 0}},
                      .fields_len = 3};
  field_t number = {"serial_number", NULL, BULKHEAD_KIND_TEXT, 0, counted, serial, 0};
  field_t limit = {"demand_limit", "kW", BULKHEAD_KIND_REAL, 0, counted, hundredths, 0};
  plans[1] = (plan_t){.group = "energy",
                      .blocks = {counters, one(120, SERIAL_WORDS, number), one(DEMAND_ADDRESS, 1, limit)},
                      .blocks_len = 3};
  plans[1].blocks[2].span.table = BULKHEAD_MODBUS_TABLE_HOLDING_REGISTER;
}

static bulkhead_point_info_t info_of(const field_t *field, const char *group) {
  bulkhead_point_info_t info = point_info(field->name, field->kind);
  info.group = (bulkhead_option_string_t){true, text_of(group)};
  if (field->unit != NULL) {
    info.unit = (bulkhead_option_string_t){true, text_of(field->unit)};
  }
  if (strcmp(field->name, "demand_limit") == 0) {
    info.write = (bulkhead_option_write_limits_t){true, {{true, 0}, {true, 655.35}}};
  }
  return info;
}

bool declare_points(plan_t plans[PLANS], bulkhead_point_t *demand_limit, bulkhead_fault_t *err) {
  field_t *fields[PLANS * READINGS_MAX];
  bulkhead_point_info_t infos[PLANS * READINGS_MAX];
  size_t count = 0;
  for (size_t p = 0; p < PLANS; p++) {
    for (size_t b = 0; b < plans[p].blocks_len; b++) {
      for (size_t f = 0; f < plans[p].blocks[b].fields_len; f++) {
        fields[count] = &plans[p].blocks[b].fields[f];
        infos[count] = info_of(fields[count], plans[p].group);
        count++;
      }
    }
  }
  bulkhead_points_list_point_info_t declared = {infos, count};
  bulkhead_points_list_point_t numbers;
  if (!bulkhead_points_declare(&declared, &numbers, err)) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    fields[i]->point = numbers.ptr[i];
    *demand_limit = strcmp(fields[i]->name, "demand_limit") == 0 ? numbers.ptr[i] : *demand_limit;
  }
  bulkhead_points_list_point_free(&numbers);
  return true;
}

static const bulkhead_fault_t *fault_of(const bulkhead_modbus_words_t *answer, size_t span) {
  for (size_t i = 0; i < answer->faults.len; i++) {
    if (answer->faults.ptr[i].index == span) {
      return &answer->faults.ptr[i].fault;
    }
  }
  return NULL;
}

bulkhead_fault_t take_fault(bulkhead_modbus_words_t *answer, size_t index) {
  bulkhead_fault_t taken = answer->faults.ptr[index].fault;
  memset(&answer->faults.ptr[index].fault, 0, sizeof taken);
  return taken;
}

// The status of a value whose registers could not be read.
static bulkhead_status_t status_of(const bulkhead_fault_t *fault) {
  if (text_is(&fault->code, "timeout")) {
    return STATUS_BAD_TIMEOUT;
  }
  return text_is(&fault->code, "illegal-data-address") ? STATUS_BAD_NODE_ID_UNKNOWN : STATUS_BAD_COMMUNICATION_ERROR;
}

int32_t status_word(const plan_t *plan, const bulkhead_modbus_words_t *answer) {
  bool is_read = plan->blocks[0].span.address == 0 && fault_of(answer, 0) == NULL;
  return is_read ? answer->words.ptr[0] : -1;
}

static bulkhead_reading_t reading_of(const field_t *field, const settings_t *settings, const uint16_t *words,
                                     int32_t status) {
  bulkhead_status_t trust = field->doubt(status);
  if (trust >= STATUS_BAD) {
    return reading_bad(field->point, trust);
  }
  bulkhead_reading_t reading = field->decode(field, settings, words);
  reading.status = reading.status >= STATUS_BAD ? reading.status : trust;
  return reading;
}

size_t readings_of(const plan_t *plan, const settings_t *settings, const bulkhead_modbus_words_t *answer, int32_t status,
                   bulkhead_reading_t *readings) {
  size_t count = 0;
  const uint16_t *words = answer->words.ptr;
  for (size_t b = 0; b < plan->blocks_len; b++) {
    const block_t *block = &plan->blocks[b];
    const bulkhead_fault_t *refused = fault_of(answer, b);
    for (size_t f = 0; f < block->fields_len; f++) {
      const field_t *field = &block->fields[f];
      readings[count++] = refused != NULL ? reading_bad(field->point, status_of(refused))
                                          : reading_of(field, settings, words, status);
    }
    words += block->span.count;
  }
  return count;
}
