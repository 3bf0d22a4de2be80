// Airtable's official client against the sandbox. The Go test beside this file
// starts two sandboxes with 250 sample orders and passes where they are:
// AIRTABLE_ENDPOINT_URL has no rate limit, THROTTLED_URL takes five requests a
// second of its slow clock and is then silent for PENALTY_MS.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Airtable from 'airtable'

const { AIRTABLE_API_KEY, AIRTABLE_ENDPOINT_URL, BASE_ID, TABLE_ID, THROTTLED_URL, PENALTY_MS } = process.env
const ORDERS = 250

const base = new Airtable().base(BASE_ID)
const orders = base('Orders')

const isError = (error, statusCode) => err => {
  assert.equal(err.error, error)
  assert.equal(err.statusCode, statusCode)
  return true
}

describe('reading', () => {
  test('all follows the offsets to the end', async () => {
    const all = await orders.select().all()
    assert.equal(all.length, ORDERS)
    assert.equal(new Set(all.map(r => r.id)).size, ORDERS)
    const [first] = all
    assert.match(first.id, /^rec[A-Za-z0-9]{14}$/)
    assert.match(first.get('Order'), /^Order \d+$/)
    assert.match(first._rawJson.createdTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/)
  })

  test('eachPage gives pages of the size asked for', async () => {
    const sizes = []
    await orders.select({ pageSize: 90 }).eachPage((records, next) => {
      sizes.push(records.length)
      next()
    })
    assert.deepEqual(sizes, [90, 90, 70])
  })

  test('eachPage can stop early', async () => {
    let pages = 0
    await new Promise(resolve => {
      orders.select({ pageSize: 10 }).eachPage(() => {
        pages++
        resolve()
      })
    })
    assert.equal(pages, 1)
  })

  test('firstPage, maxRecords and a view', async () => {
    assert.equal((await orders.select().firstPage()).length, 100)
    assert.equal((await orders.select({ maxRecords: 3, view: 'Grid view' }).firstPage()).length, 3)
    assert.equal((await orders.select({ maxRecords: 120, pageSize: 50 }).all()).length, 120)
  })

  test('a table goes by its id too', async () => {
    assert.equal((await base(TABLE_ID).select({ maxRecords: 1 }).all()).length, 1)
  })

  test('find', async () => {
    const [one] = await orders.select({ maxRecords: 1 }).firstPage()
    const same = await orders.find(one.id)
    assert.deepEqual(same.fields, one.fields)
  })

  test('fields', async () => {
    const all = await orders.select({ fields: ['Order', 'Status'] }).all()
    for (const r of all) assert.deepEqual(Object.keys(r.fields), ['Order', 'Status'])
  })

  test('sort by two fields', async () => {
    const all = await orders.select({
      sort: [{ field: 'Status' }, { field: 'Amount', direction: 'desc' }],
      fields: ['Status', 'Amount'],
    }).all()
    const rank = ['Pending', 'Processing', 'Sent', 'Delivered', 'Cancelled']
    for (let i = 1; i < all.length; i++) {
      const [a, b] = [all[i - 1], all[i]].map(r => [rank.indexOf(r.get('Status')), r.get('Amount') ?? -Infinity])
      assert.ok(a[0] < b[0] || (a[0] === b[0] && a[1] >= b[1]), `${a} before ${b}`)
    }
  })

  test('filterByFormula', async () => {
    const all = await orders.select().all()
    const want = all.filter(r => r.get('Status') === 'Pending' && r.get('Amount') > 100).map(r => r.id)
    assert.ok(want.length > 0)
    const got = await orders.select({ filterByFormula: "AND({Status} = 'Pending', {Amount} > 100)" }).all()
    assert.deepEqual(got.map(r => r.id), want)
  })

  test('a long formula goes by POST', async () => {
    const all = await orders.select().all()
    const wanted = all.slice(0, 130).map(r => r.id)
    const terms = wanted.map(id => `AND(RECORD_ID() = '${id}', NOT({Order} = '${'x'.repeat(100)}'))`)
    const filterByFormula = `OR(${terms.join(', ')})`
    assert.ok(filterByFormula.length > 16000)
    const got = await orders.select({ filterByFormula, sort: [{ field: 'Number' }], recordMetadata: ['commentCount'] }).all()
    assert.deepEqual(got.map(r => r.id), wanted)
    assert.equal(got[0].commentCount, 0)
  })

  test('POST on request, with texts in a zone and a locale', async () => {
    const [r] = await orders.select({
      method: 'post', maxRecords: 1, filterByFormula: '{Amount} > 1000',
      cellFormat: 'string', timeZone: 'Europe/Madrid', userLocale: 'es',
    }).all()
    assert.match(r.get('Amount'), /^€\d,\d{3}\.\d\d$/)
  })

  test('fields by id', async () => {
    const [r] = await orders.select({ maxRecords: 1, returnFieldsByFieldId: true }).all()
    for (const key of Object.keys(r.fields)) assert.match(key, /^fld[A-Za-z0-9]{14}$/)
  })

  test('the deprecated list', async () => {
    const page = await new Promise((resolve, reject) => {
      orders.list(20, null, {}, (err, records) => (err ? reject(err) : resolve(records)))
    })
    assert.equal(page.length, 20)
  })
})

describe('writing', () => {
  test('create one, and the empty cells are left out', async () => {
    const r = await orders.create({ Order: 'C-1', Customer: 'Ugarte', Status: 'Pending', Amount: 12.5, Paid: false, Notes: '' })
    assert.match(r.id, /^rec/)
    const { Number: number, Created: created, 'Last modified': modified, ...rest } = r.fields
    assert.deepEqual(rest, { Order: 'C-1', Customer: 'Ugarte', Status: 'Pending', Amount: 12.5 })
    assert.equal(typeof number, 'number')
    assert.equal(created, modified)
    await r.destroy()
  })

  test('create, update, replace and destroy many', async () => {
    const made = await orders.create([
      { fields: { Order: 'M-1', Status: 'Pending', Priority: 'Low' } },
      { fields: { Order: 'M-2', Status: 'Pending', Tags: ['Web', 'Export'] } },
    ])
    assert.equal(made.length, 2)
    assert.deepEqual(made[1].get('Tags'), ['Web', 'Export'])

    const merged = await orders.update(made.map(r => ({ id: r.id, fields: { Status: 'Sent' } })))
    assert.equal(merged[0].get('Order'), 'M-1')
    assert.equal(merged[0].get('Status'), 'Sent')
    assert.equal(merged[0].get('Priority'), 'Low')

    const replaced = await orders.replace([{ id: made[0].id, fields: { Order: 'M-1b' } }])
    assert.equal(replaced[0].get('Order'), 'M-1b')
    assert.equal(replaced[0].get('Status'), undefined)

    const gone = await orders.destroy(made.map(r => r.id))
    assert.deepEqual(gone.map(r => r.id), made.map(r => r.id))
    await assert.rejects(orders.find(made[0].id), isError('NOT_FOUND', 404))
  })

  test('update, replace, save and destroy one', async () => {
    const { id } = await orders.create({ Order: 'O-1', Status: 'Pending', Priority: 'High' })
    assert.equal((await orders.update(id, { Status: 'Delivered' })).get('Priority'), 'High')
    assert.equal((await orders.update(id, { Priority: null })).get('Priority'), undefined)
    const replaced = await orders.replace(id, { Order: 'O-1b' })
    assert.equal(replaced.get('Status'), undefined)
    replaced.set('Amount', 7)
    assert.equal((await replaced.updateFields({ Amount: 7 })).get('Amount'), 7)
    assert.equal((await orders.destroy(id)).id, id)
    await assert.rejects(orders.destroy(id), isError('NOT_FOUND', 404))
  })

  test('upsert', async () => {
    const { id } = await orders.create({ Order: 'U-1', Status: 'Pending' })
    const done = await orders.update(
      [{ fields: { Order: 'U-1', Status: 'Sent' } }, { fields: { Order: 'U-2', Status: 'Pending' } }],
      { performUpsert: { fieldsToMergeOn: ['Order'] } },
    )
    assert.equal(done[0].id, id)
    assert.equal(done[0].get('Status'), 'Sent')
    assert.notEqual(done[1].id, id)

    await orders.create({ Order: 'U-1' })
    await assert.rejects(
      orders.update([{ fields: { Order: 'U-1' } }], { performUpsert: { fieldsToMergeOn: ['Order'] } }),
      err => err.statusCode === 422,
    )
    const left = await orders.select({ filterByFormula: "LEFT({Order}, 2) = 'U-'" }).all()
    assert.equal(left.length, 3)
    await orders.destroy(left.map(r => r.id))
  })

  test('typecast adds a choice and reads a number', async () => {
    const r = await orders.create({ Order: 'T-1', Priority: 'Urgent', Amount: '19.90' }, { typecast: true })
    assert.equal(r.get('Priority'), 'Urgent')
    assert.equal(r.get('Amount'), 19.9)
    await orders.destroy(r.id)
  })

  test('attachments by address and by id, and collaborators', async () => {
    const made = await orders.create({
      Order: 'A-1',
      Owner: { email: 'ana@example.com' },
      Files: [{ url: 'https://example.com/a/plan.pdf' }, { url: 'https://example.com/b', filename: 'b.txt' }],
    })
    assert.deepEqual(made.get('Owner'), { id: 'usrAna00000000000', email: 'ana@example.com', name: 'Ana' })
    const [plan, b] = made.get('Files')
    assert.match(plan.id, /^att[A-Za-z0-9]{14}$/)
    assert.deepEqual([plan.filename, b.filename], ['plan.pdf', 'b.txt'])
    const kept = await orders.update(made.id, { Files: [{ id: b.id }] })
    assert.deepEqual(kept.get('Files').map(f => f.id), [b.id])
    await assert.rejects(orders.update(made.id, { Owner: { email: 'nobody@example.com' } }), isError('INVALID_VALUE_FOR_COLUMN', 422))
    await assert.rejects(orders.update(made.id, { Files: [{ id: 'attAAAAAAAAAAAAAA' }] }), isError('INVALID_ATTACHMENT_OBJECT', 422))
    await orders.destroy(made.id)
  })

  test('a batch with one bad record changes nothing', async () => {
    const [a, b] = await orders.select({ maxRecords: 2 }).all()
    await assert.rejects(
      orders.update([
        { id: a.id, fields: { Notes: 'changed' } },
        { id: b.id, fields: { Status: 'No such status' } },
      ]),
      isError('INVALID_MULTIPLE_CHOICE_OPTIONS', 422),
    )
    assert.equal((await orders.find(a.id)).get('Notes'), a.get('Notes'))
  })
})

describe('several tables', () => {
  const meta = (path, method, body) => fetch(`${AIRTABLE_ENDPOINT_URL}/v0/meta/bases/${BASE_ID}/tables${path}`, {
    method, headers: { Authorization: `Bearer ${AIRTABLE_API_KEY}`, 'Content-Type': 'application/json' }, body: JSON.stringify(body),
  }).then(answer => answer.json())

  test('one is created, linked to, renamed, and listed', async () => {
    const made = await meta('', 'POST', {
      name: 'Customers',
      fields: [
        { name: 'Name', type: 'singleLineText' },
        { name: 'City', type: 'singleLineText' },
        { name: 'Purchases', type: 'multipleRecordLinks', options: { linkedTableId: TABLE_ID } },
      ],
    })
    assert.match(made.id, /^tbl[A-Za-z0-9]{14}$/)
    const { tables } = await meta('', 'GET')
    assert.deepEqual(tables.map(t => t.id), [TABLE_ID, made.id])
    const inverse = tables[0].fields.find(f => f.name === 'Customers')
    assert.equal(inverse.options.linkedTableId, made.id)
    assert.equal(inverse.options.inverseLinkFieldId, made.fields[2].id)
    assert.equal((await meta(`/${made.id}`, 'PATCH', { name: 'Clients' })).name, 'Clients')

    const clients = base('Clients')
    const [sol, luna] = await clients.create([{ fields: { Name: 'Sol', City: 'Lugo' } }, { fields: { Name: 'Luna' } }])
    const order = await orders.create({ Order: 'L-1', Customers: [sol.id, luna.id] })
    assert.deepEqual(order.get('Customers'), [sol.id, luna.id])
    assert.deepEqual((await clients.find(luna.id)).get('Purchases'), [order.id])
    const texts = await orders.select({
      filterByFormula: "FIND('Sol', {Customers})", cellFormat: 'string', timeZone: 'Europe/Madrid', userLocale: 'es',
    }).all()
    assert.deepEqual(texts.map(r => r.get('Customers')), ['Sol, Luna'])

    const named = await orders.update(order.id, { Customers: ['Luna', 'Estrella'] }, { typecast: true })
    const [moon, star] = named.get('Customers')
    assert.equal(moon, luna.id)
    assert.equal((await clients.find(star)).get('Name'), 'Estrella')
    assert.equal((await clients.find(sol.id)).get('Purchases'), undefined)

    await clients.destroy(luna.id)
    assert.deepEqual((await orders.find(order.id)).get('Customers'), [star])
    await assert.rejects(orders.update(order.id, { Customers: ['Sol'] }), isError('INVALID_RECORD_ID', 422))
    await assert.rejects(orders.update(order.id, { Customers: [luna.id] }), isError('ROW_DOES_NOT_EXIST', 422))
    await assert.rejects(orders.update(order.id, { Customers: [order.id] }), isError('ROW_TABLE_DOES_NOT_MATCH_LINKED_TABLE', 422))
    await assert.rejects(clients.find(order.id), isError('NOT_FOUND', 404))
    await orders.destroy(order.id)
    assert.equal((await clients.select().all()).length, 2)
  })
})

describe('errors', () => {
  const cases = {
    'unknown record': [() => orders.find('recAAAAAAAAAAAAAA'), 'NOT_FOUND', 404],
    'unknown base': [() => new Airtable().base('appAAAAAAAAAAAAAA')('Orders').select().firstPage(), 'NOT_FOUND', 404],
    'unknown table': [() => base('Nothing').select().firstPage(), 'NOT_AUTHORIZED', 403],
    'bad token': [() => new Airtable({ apiKey: 'patWrong' }).base(BASE_ID)('Orders').select().firstPage(), 'AUTHENTICATION_REQUIRED', 401],
    'unknown field': [() => orders.create({ Nothing: 1 }), 'UNKNOWN_FIELD_NAME', 422],
    'computed field': [() => orders.create({ Number: 1 }), 'INVALID_VALUE_FOR_COLUMN', 422],
    'wrong type': [() => orders.create({ Amount: 'many' }), 'INVALID_VALUE_FOR_COLUMN', 422],
    'unknown choice': [() => orders.create({ Status: 'Lost' }), 'INVALID_MULTIPLE_CHOICE_OPTIONS', 422],
    'missing in a batch': [() => orders.update([{ id: 'recAAAAAAAAAAAAAA', fields: {} }]), 'ROW_DOES_NOT_EXIST', 422],
    'eleven at once': [() => orders.create(Array.from({ length: 11 }, () => ({ fields: {} }))), 'INVALID_RECORDS', 422],
    'bad formula': [() => orders.select({ filterByFormula: 'AND(' }).firstPage(), 'INVALID_FILTER_BY_FORMULA', 422],
    'unknown field in a formula': [() => orders.select({ filterByFormula: '{Nothing} = 1' }).firstPage(), 'INVALID_FILTER_BY_FORMULA', 422],
    'page size': [() => orders.select({ pageSize: 101 }).firstPage(), 'INVALID_PAGE_SIZE_ARGUMENT', 422],
    'unknown view': [() => orders.select({ view: 'Nothing' }).firstPage(), 'VIEW_NAME_NOT_FOUND', 422],
    'malformed offset': [() => orders.select({ offset: 5 }).firstPage(), 'INVALID_OFFSET_VALUE', 422],
  }
  for (const [name, [call, error, statusCode]] of Object.entries(cases)) {
    test(name, () => assert.rejects(call(), isError(error, statusCode)))
  }

  test('the message names the culprit', async () => {
    await assert.rejects(orders.create({ Nothing: 1 }), { message: 'Unknown field name: "Nothing"' })
    await assert.rejects(orders.create({ Status: 'Lost' }), { message: 'Insufficient permissions to create new select option ""Lost""' })
  })
})

describe('rate limit', { concurrency: 1 }, () => {
  const six = table => Promise.allSettled(Array.from({ length: 6 }, () => table.select({ maxRecords: 1 }).firstPage()))

  test('the sixth request in a second is a 429, then there is silence, then service', async () => {
    const table = new Airtable({ endpointUrl: THROTTLED_URL, noRetryIfRateLimited: true }).base(BASE_ID)('Orders')
    const results = await six(table)
    const refused = results.filter(r => r.status === 'rejected')
    assert.equal(refused.length, 1)
    assert.ok(isError('TOO_MANY_REQUESTS', 429)(refused[0].reason))
    await assert.rejects(table.select({ maxRecords: 1 }).firstPage(), isError('TOO_MANY_REQUESTS', 429))
    const silence = Date.now()
    let served = false
    while (!served && Date.now() - silence < 10 * PENALTY_MS) {
      served = await table.select({ maxRecords: 1 }).firstPage().then(() => true, () => false)
    }
    assert.ok(served)
  })

  test('the client retries by itself until it is served', async t => {
    // Its back-off is a random part of 5 s × 2ⁿ, of which a small one will do.
    t.mock.method(Math, 'random', () => 0.1)
    const table = new Airtable({ endpointUrl: THROTTLED_URL }).base(BASE_ID)('Orders')
    const results = await six(table)
    assert.deepEqual(results.map(r => r.status), Array(6).fill('fulfilled'))
  })
})
