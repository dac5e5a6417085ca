import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestDoor } from '../../../test/http/door.ts';

let door: TestDoor;
beforeAll(async () => {
  door = await TestDoor.open({ policies: [{ match: 'stock:*', floor: 0n }] });
});
afterAll(() => door.close());

describe('the shapes of the requirement documents', () => {
  it('one counter, to the letter', async () => {
    expect(await door.text(200, 'PUT', '/v1/counters/default', '{"value":10000}')).toContain('10000');
    expect(await door.text(200, 'POST', '/counter/increment', '{ "value": 1 }')).toBe(
      '{"success":true,"new_value":10001}',
    );
    expect(await door.text(200, 'POST', '/counter/decrement', '{ "value": 2 }')).toBe(
      '{"success":true,"new_value":9999}',
    );
    expect(await door.text(200, 'POST', '/counter/increment')).toBe('{"success":true,"new_value":10000}');
    expect(await door.text(200, 'GET', '/counter/value')).toBe('{"current_value":10000}');
    expect(await door.code('GET', '/counter/logs')).toBe('not_found');
  });

  it('or another counter', async () => {
    expect(await door.text(200, 'POST', '/counter/increment?counter_id=other', '{"value":4}')).toContain(
      '"new_value":4',
    );
    expect(await door.text(200, 'POST', '/counter/decrement', '{"counter_id":"other"}')).toContain('"new_value":3');
    expect(await door.text(200, 'GET', '/counter/value?counter_id=other&numbers=string')).toBe('{"current_value":"3"}');
    expect(await door.text(200, 'GET', '/v1/counters/other')).toContain('"value":3');
    expect(await door.code('POST', '/counter/increment?counter_id=other', '{"counter_id":"other"}')).toBe(
      'invalid_body',
    );
    expect(await door.code('POST', '/counter/increment', '{"counter_id":""}')).toBe('invalid_name');
    expect(await door.code('POST', '/counter/increment', '{"counter_id":7}')).toBe('invalid_body');
  });

  it.each(['counter', 'likes', 'views'])("a post's %s, to the letter", async (kind) => {
    const shape = /^\{"count":(-?\d+),"updated_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}$/;
    const path = `/v1/post-${kind}/${kind}`;
    expect(await door.text(200, 'GET', path)).toBe('{"count":0,"updated_at":null}');
    expect(shape.exec(await door.text(200, 'PUT', path, '{"action":"increment"}'))?.[1]).toBe('1');
    expect(shape.exec(await door.text(200, 'PUT', path, '{"action":"decrement"}'))?.[1]).toBe('0');
    const update = await door.text(200, 'PUT', path, '{"action":"decrement"}');
    expect(shape.exec(update)?.[1]).toBe('-1');
    expect(await door.text(200, 'GET', path)).toMatch(shape);
    expect(await door.text(200, 'GET', `/v1/counters/post-${kind}:${kind}`)).toContain('"value":-1');
    const unknown = await door.text(400, 'PUT', path, '{"action":"inc"}');
    expect(JSON.parse(unknown).detail).toBe('field "action": must be one of increment, decrement');
    for (const body of [undefined, '{}', '{"action":"double"}', '{"action":"increment","by":2}']) {
      expect(await door.code('PUT', path, body)).toBe('invalid_body');
    }
    expect(await door.code('PUT', `/v1//${kind}`, '{"action":"increment"}')).toBe('invalid_name');
  });

  it('gzip, when the client takes it', async () => {
    const path = '/v1/zipped/likes';
    const headers = { 'accept-encoding': 'gzip, br' };
    const put = await door.send('PUT', path, '{"action":"increment"}', headers);
    expect(put.headers['content-encoding']).toBe('gzip');
    expect(put.headers['content-type']).toContain('application/json');
    expect(gunzipSync(put.bytes).toString()).toContain('"count":1');
    const get = await door.send('GET', path, undefined, headers);
    expect(gunzipSync(get.bytes).toString()).toContain('"count":1');
    expect((await door.send('GET', path)).headers['content-encoding']).toBeUndefined();
  });

  it('leave counters with such names alone', async () => {
    expect(await door.text(200, 'PUT', '/v1/counters/likes', '{"value":5}')).toContain('"value":5');
    expect(await door.text(200, 'PUT', '/v1/batch/likes', '{"action":"increment"}')).toContain('"count":1');
  });
});
